"""Download artifacts to temporary folders that are deleted at the latest when the process ends."""

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit


def download(uri: str, store: str) -> Path:
    """Return the path of the artifact at the address `uri`, which is a file or a folder.

    An artifact of a local store is not copied. Other artifacts are downloaded to a folder that is deleted when this
    process ends.
    """
    from mlflow.artifacts import download_artifacts

    is_local = urlsplit(uri).scheme in ("", "file")
    folder = None if is_local else tempfile.mkdtemp(dir=download_folder())
    return Path(download_artifacts(artifact_uri=uri, dst_path=folder, tracking_uri=store))


@cache
def download_folder() -> Path:
    """Return the folder with all downloads of this process."""
    folder = Path(tempfile.mkdtemp(prefix="lectern-downloads-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
