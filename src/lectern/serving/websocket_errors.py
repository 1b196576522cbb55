"""Close a WebSocket whose client sends invalid messages, without a traceback in the log."""

import logging
from contextlib import suppress

from starlette.types import ASGIApp, Receive, Scope, Send

INVALID_DATA = 1007  # status code of RFC 6455

log = logging.getLogger("lectern.serving")


class WebSocketErrorMiddleware:
    """Middleware that closes the WebSocket if the web page raises an exception for a message."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self.app(scope, receive, send)
        except Exception as error:
            if scope["type"] != "websocket":
                raise
            log.info("A WebSocket was closed because of an invalid message: %r", error)
            with suppress(RuntimeError, OSError):  # the connection can already be closed
                await send({"type": "websocket.close", "code": INVALID_DATA})
