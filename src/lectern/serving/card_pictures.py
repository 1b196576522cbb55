"""Serve the pictures of a version's report, which the web page shows below the model card."""

import re
from functools import lru_cache
from pathlib import Path

from fastapi import APIRouter, Request
from mlflow import MlflowClient
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse

from lectern.errors import UserError
from lectern.registry.version_record import ModelVersionRecord
from lectern.serving.champions import Champion, Champions
from lectern.serving.client_message import shorten
from lectern.tracking.downloads import download

MEDIA_TYPES = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".webp": "image/webp"}
FILE_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{,199}", re.ASCII)
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'",
    "Cache-Control": "private, max-age=3600",
}
MAX_FOLDERS = 64  # maximum number of report folders whose paths are kept in memory

router = APIRouter()


def picture_address(version: ModelVersionRecord, file: str) -> str:
    return f"/v1/models/{version.name}/versions/{version.number}/pictures/{file}"


@router.get("/v1/models/{name}/versions/{number}/pictures/{file}", include_in_schema=False)
def show_picture(name: str, number: str, file: str, request: Request) -> FileResponse:
    """Return a picture of the report of a served version."""
    champions: Champions = request.app.state.champions
    champion = champions.get(name)
    # `number` is a text, because FastAPI answers a wrong integer with another form of error message
    path = find_picture(champions, champion, file) if str(champion.version.number) == number else None
    if path is None:
        raise HTTPException(
            404,
            f"Version {shorten(number)} of {shorten(name)} is not served, or its report has no picture "
            f"{shorten(file)!r}.",
        )
    return FileResponse(path, media_type=MEDIA_TYPES[path.suffix], headers=HEADERS)


def find_picture(champions: Champions, champion: Champion, file: str) -> Path | None:
    """Return the path of a picture, or None if the report has no picture of this name.

    The name must be a plain file name. A symbolic link to a file outside the report is ignored.
    """
    if not FILE_NAME.fullmatch(file) or Path(file).suffix not in MEDIA_TYPES:
        return None
    folder = find_report(champions, champion)
    path = folder / file if folder else None
    return path if path and path.is_file() and path.resolve().parent == path.parent.resolve() else None


def list_pictures(champions: Champions, champion: Champion) -> list[str]:
    """Return the sorted names of the pictures in the report of a version."""
    folder = find_report(champions, champion)
    files = sorted(path.name for path in folder.iterdir()) if folder else []
    return [file for file in files if find_picture(champions, champion, file)]


def find_report(champions: Champions, champion: Champion) -> Path | None:
    """Return the folder with the report of a version, or None if the version has no report."""
    version = champion.version
    return download_report(champions.client, version.name, version.number, version.source)


@lru_cache(MAX_FOLDERS)
def download_report(client: MlflowClient, name: str, number: int, source: str) -> Path | None:
    """Return the folder `report` of a version. The folder is downloaded once if the tracking store is remote."""
    try:
        return download(f"{source}/report", client.tracking_uri)
    except UserError:
        return None
