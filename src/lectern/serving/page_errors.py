"""Answer unknown paths and errors of the web page without building a page for the visitor."""

from nicegui import app as page_app
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from lectern.serving.client_message import SEE_LOG, shorten


def set_page_errors() -> None:
    """Replace the error pages of NiceGUI, which keep a page in memory for a minute and show messages of exceptions."""
    page_app.add_exception_handler(404, respond_to_unknown_path)
    page_app.add_exception_handler(Exception, respond_to_exception)


async def respond_to_unknown_path(request: Request, error: Exception) -> JSONResponse:
    detail = error.detail if isinstance(error, HTTPException) else "Not Found"
    return JSONResponse({"detail": f"{shorten(request.url.path)}: {detail}. The web page is at the path /."}, 404)


async def respond_to_exception(request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": f"The page could not be built. {SEE_LOG}"}, 500)
