"""Answer unknown paths and errors of the web page without building a page for the visitor."""

from nicegui import app as page_app
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from lectern.serving.client_message import SEE_LOG, shorten
from lectern.serving.deadline import ModelBusy
from lectern.serving.upload_parts import UPLOAD


def set_page_errors() -> None:
    """Replace the error pages of NiceGUI, which keep a page in memory for a minute and show messages of exceptions."""
    page_app.add_exception_handler(404, respond_to_unknown_path)
    page_app.add_exception_handler(ModelBusy, respond_to_many_visitors)
    page_app.add_exception_handler(AttributeError, respond_to_wrong_upload)
    page_app.add_exception_handler(Exception, respond_to_exception)


async def respond_to_unknown_path(request: Request, error: Exception) -> JSONResponse:
    detail = error.detail if isinstance(error, HTTPException) else "Not Found"
    return JSONResponse({"detail": f"{shorten(request.url.path)}: {detail}. The web page is at the path /."}, 404)


async def respond_to_many_visitors(request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, 503, {"Retry-After": "60"})


async def respond_to_wrong_upload(request: Request, error: Exception) -> JSONResponse:
    """Reject an upload whose form fields are no files, for which NiceGUI raises AttributeError."""
    if not UPLOAD.fullmatch(request.url.path):
        raise error
    return JSONResponse({"detail": "The body contains a form field that is not a file; expected only files."}, 422)


async def respond_to_exception(request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": f"The page could not be built. {SEE_LOG}"}, 500)
