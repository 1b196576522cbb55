"""Download artifacts to temporary folders that are deleted when the process ends."""

import tempfile
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from lectern.atomic import create_process_directory
from lectern.errors import UserError


def download(uri: str, store: str) -> Path:
    """Return the path of the artifact at the address `uri`, which is a file or a folder.

    An artifact of a local store is not copied. Other artifacts are downloaded to a folder that is deleted when this
    process ends. Raises UserError if the artifact cannot be read.
    """
    from mlflow.artifacts import download_artifacts

    is_local = urlsplit(uri).scheme in ("", "file")
    folder = None if is_local else tempfile.mkdtemp(dir=download_folder())
    try:
        return Path(download_artifacts(artifact_uri=uri, dst_path=folder, tracking_uri=store))
    except Exception as error:  # an artifact store raises the exceptions of its own client library
        raise UserError(f"{uri} cannot be read: {error}") from error


@cache
def download_folder() -> Path:
    """Return the folder with all downloads of this process."""
    return create_process_directory("lectern-downloads-")
