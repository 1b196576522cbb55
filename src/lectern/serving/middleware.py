"""Bytes from outside to a request that is small enough, in time, and allowed: ASGI layers around the whole server."""

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

OPEN = ("/healthz", "/readyz")  # who watches a server need not know its key
MEGA = 1_000_000


class BodyLimitMiddleware:
    """Refuses bodies that are too large or too slow: 413 and 408, before anything is done with them."""

    def __init__(self, app: ASGIApp, settings: Settings):
        self.app, self.settings = app, settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        headers = Headers(scope=scope)
        is_upload = not headers.get("content-type", "application/json").startswith(("application/json", "text/"))
        megabytes = self.settings.upload_megabytes if is_upload else self.settings.body_megabytes
        seconds = self.settings.upload_seconds if is_upload else self.settings.body_seconds
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > megabytes * MEGA:
            refused = JSONResponse({"detail": too_large(megabytes)}, 413, {"Connection": "close"})
            return await refused(scope, receive, counted(send))
        await self.app(scope, limited(receive, megabytes, seconds), counted(send))


def counted(send: Send) -> Send:
    """`send`, which also tells the metrics what was answered."""

    async def told(message: Message) -> None:
        if message["type"] == "http.response.start":
            metrics.REQUESTS.labels(message["status"]).inc()
        await send(message)

    return told


def limited(receive: Receive, megabytes: float, seconds: float) -> Receive:
    """`receive`, until the body is whole, within its time and size."""
    deadline, received, whole = time.monotonic() + seconds, 0, False

    async def within() -> Message:
        nonlocal received, whole
        if whole:  # from here on it only tells of a client that goes away
            return await receive()
        try:
            message = await asyncio.wait_for(receive(), deadline - time.monotonic())
        except TimeoutError:
            slow = f"The body did not arrive within {seconds:g} seconds. Send it faster, or in parts."
            raise HTTPException(408, slow, {"Connection": "close"}) from None
        received += len(message.get("body", b""))
        if received > megabytes * MEGA:
            raise HTTPException(413, too_large(megabytes), {"Connection": "close"})
        whole = not message.get("more_body", False)
        return message

    return within


def too_large(megabytes: float) -> str:
    return f"The body is larger than {megabytes:g} MB, the most that is taken. Send it in parts."


class ApiKeyMiddleware:
    """Lets in who shows the key: `Authorization: Bearer KEY`, or KEY as the password that a browser asks for."""

    def __init__(self, app: ASGIApp, key: str):
        self.app, self.key = app, key.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or scope["path"] in OPEN or self.is_shown(Headers(scope=scope)):
            return await self.app(scope, receive, send)
        if scope["type"] == "websocket":
            return await send({"type": "websocket.close", "code": 1008})
        told = "This server asks for a key: send `Authorization: Bearer KEY`, KEY being its LECTERN_API_KEY."
        refused = JSONResponse({"detail": told}, 401, {"WWW-Authenticate": 'Basic realm="Lectern", charset="UTF-8"'})
        await refused(scope, receive, send)

    def is_shown(self, headers: Headers) -> bool:
        scheme, _, shown = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "basic":
            try:
                shown = base64.b64decode(shown, validate=True).decode().partition(":")[2]
            except (binascii.Error, UnicodeDecodeError):
                return False
        return hmac.compare_digest(shown.encode(), self.key)
