"""Limit the number of files per upload on the web page.

An upload is parsed on the event loop, so an upload of many files would stop all other requests.
"""

import re

from python_multipart.multipart import parse_options_header
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

UPLOAD = re.compile(r"/_nicegui/client/[^/]+/upload/[^/]+")
EXPECTED = "Upload one file per request, as multipart/form-data."


class UploadPartsMiddleware:
    """Middleware that rejects an upload with another number of files than one (status 422)."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and UPLOAD.fullmatch(scope["path"]):
            content_type, options = parse_options_header(Headers(scope=scope).get("content-type"))
            if content_type != b"multipart/form-data" or not options.get(b"boundary"):
                response = JSONResponse({"detail": f"The body is not a form. {EXPECTED}"}, 422, {"Connection": "close"})
                return await response(scope, receive, send)
            receive = limit_parts(receive, b"--" + options[b"boundary"])
        await self.app(scope, receive, send)


def limit_parts(receive: Receive, delimiter: bytes) -> Receive:
    """Return a wrapper of `receive` that raises HTTPException if the body has more than one part."""
    count, end = 0, b""  # `end` is the end of the last chunk, which can contain the start of a delimiter

    async def limited_receive() -> Message:
        nonlocal count, end
        message = await receive()
        data = end + message.get("body", b"")
        count += data.count(delimiter)
        end = data[max(data.rfind(delimiter) + 1, len(data) - len(delimiter) + 1) :]
        if count > 2:  # one delimiter before and one delimiter after the part
            detail = f"The upload contains more than one part, which is the maximum. {EXPECTED}"
            raise HTTPException(422, detail, {"Connection": "close"})
        return message

    return limited_receive
