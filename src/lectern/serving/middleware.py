"""Limit the size and the upload time of request bodies, and check the API key.

The classes are ASGI middleware. They process each request before the API or the web page gets the request.
"""

import asyncio
import base64
import binascii
import hmac
import time

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lectern.serving import metrics
from lectern.serving.settings import Settings

PUBLIC_PATHS = ("/healthz", "/readyz")  # paths that monitoring tools can use without the API key
BYTES_PER_MEGABYTE = 1_000_000
UPLOADS = ("image/", "video/", "multipart/form-data")  # media types of files; all other bodies are held in memory


class BodyLimitMiddleware:
    """Middleware that rejects a request body that is too large (status 413) or arrives too slowly (status 408)."""

    def __init__(self, app: ASGIApp, settings: Settings):
        self.app, self.settings = app, settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        settings, headers = self.settings, Headers(scope=scope)
        is_upload = headers.get("content-type", "").strip().lower().startswith(UPLOADS)
        max_megabytes = settings.max_upload_megabytes if is_upload else settings.max_body_megabytes
        timeout_seconds = settings.upload_timeout_seconds if is_upload else settings.body_timeout_seconds
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > max_megabytes * BYTES_PER_MEGABYTE:
            response = JSONResponse({"detail": too_large_message(max_megabytes)}, 413, {"Connection": "close"})
            return await response(scope, receive, count_responses(send))
        await self.app(scope, limit_body(receive, max_megabytes, timeout_seconds), count_responses(send))


def count_responses(send: Send) -> Send:
    """Return a wrapper of `send` that counts the HTTP responses by status code."""

    async def counting_send(message: Message) -> None:
        if message["type"] == "http.response.start":
            metrics.REQUESTS.labels(message["status"]).inc()
        await send(message)

    return counting_send


def limit_body(receive: Receive, max_megabytes: float, timeout_seconds: float) -> Receive:
    """Return a wrapper of `receive` that raises HTTPException if the body is too large or does not arrive in time."""
    deadline = time.monotonic() + timeout_seconds
    received_bytes, is_complete = 0, False

    async def limited_receive() -> Message:
        nonlocal received_bytes, is_complete
        if is_complete:  # only `http.disconnect` can follow, which has no time limit
            return await receive()
        try:
            async with asyncio.timeout(deadline - time.monotonic()):
                message = await receive()
        except TimeoutError:
            detail = f"The body did not arrive within {timeout_seconds:g} seconds. Send less data or send faster."
            raise HTTPException(408, detail, {"Connection": "close"}) from None
        received_bytes += len(message.get("body", b""))
        if received_bytes > max_megabytes * BYTES_PER_MEGABYTE:
            raise HTTPException(413, too_large_message(max_megabytes), {"Connection": "close"})
        is_complete = not message.get("more_body", False)
        return message

    return limited_receive


def too_large_message(max_megabytes: float) -> str:
    return f"The body is larger than {max_megabytes:g} MB, which is the maximum. Send less data per request."


class ApiKeyMiddleware:
    """Middleware that rejects requests without the API key (status 401).

    Clients send `Authorization: Bearer KEY`. Browsers send the API key as the password of HTTP basic authentication.
    """

    def __init__(self, app: ASGIApp, api_key: str):
        self.app, self.api_key = app, api_key.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or scope["path"] in PUBLIC_PATHS or self.has_valid_key(Headers(scope=scope)):
            return await self.app(scope, receive, send)
        if scope["type"] == "websocket":
            return await send({"type": "websocket.close", "code": 1008})
        detail = "The API key is missing or wrong. Send LECTERN_API_KEY in the header `Authorization: Bearer KEY`."
        response = JSONResponse({"detail": detail}, 401, {"WWW-Authenticate": 'Basic realm="Lectern", charset="UTF-8"'})
        await response(scope, receive, send)

    def has_valid_key(self, headers: Headers) -> bool:
        scheme, _, key = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "basic":
            try:
                key = base64.b64decode(key, validate=True).decode().partition(":")[2]
            except (binascii.Error, UnicodeDecodeError):
                return False
        return hmac.compare_digest(key.encode(), self.api_key)
