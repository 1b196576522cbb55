"""Replace slow middleware of NiceGUI, so that requests for the files of the page and for unknown paths are cheap."""

from nicegui import __version__, core
from nicegui import app as page_app
from starlette.datastructures import MutableHeaders
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lectern.serving.upload_parts import UploadPartsMiddleware

FILES, CHANGING_FILES = f"/_nicegui/{__version__}/", f"/_nicegui/{__version__}/dynamic_resources/"


def replace_middleware() -> None:
    """Remove the middleware that is based on BaseHTTPMiddleware, which starts two tasks per request.

    One of the removed classes changes the addresses of redirects, which Lectern does not send.
    """
    page_app.user_middleware[:] = [
        each
        for each in page_app.user_middleware
        if not (isinstance(each.cls, type) and issubclass(each.cls, BaseHTTPMiddleware))
    ]
    page_app.add_middleware(CacheMiddleware)
    page_app.add_middleware(UploadPartsMiddleware)


class CacheMiddleware:
    """Middleware that lets browsers keep the files of NiceGUI, because their paths contain the version of NiceGUI."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_header(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] < 400:
                MutableHeaders(scope=message)["Cache-Control"] = core.app.config.cache_control_directives
            await send(message)

        path = scope.get("path", "")
        is_file = scope["type"] == "http" and path.startswith(FILES) and not path.startswith(CHANGING_FILES)
        await self.app(scope, receive, send_with_header if is_file else send)
