"""Convert between the path of a SQLite file and its address, such as `sqlite:////home/user/lectern/mlflow.db`."""

import re
from pathlib import Path

from lectern.errors import UserError

PREFIX = "sqlite:///"
RESERVED = re.compile(r"\?|%[0-9A-Fa-f]{2}")  # SQLAlchemy does not read these characters as part of the path


def sqlite_address(database: Path) -> str:
    """Return the address of a SQLite file.

    Raises UserError if the path contains characters that have a special meaning in an address. The characters cannot be
    escaped, because MLflow would then create a folder with the escaped name.
    """
    path = str(database.absolute())
    if reserved := RESERVED.search(path):
        raise UserError(
            f"The path {path} contains {reserved[0]}, so MLflow cannot use a SQLite file in this folder. Rename the "
            "folder, or set MLFLOW_TRACKING_URI to another store."
        )
    return PREFIX + path


def sqlite_file(address: str) -> Path | None:
    """Return the resolved path of a SQLite store's file, or None for any other store."""
    return Path(address.removeprefix(PREFIX).partition("?")[0]).resolve() if address.startswith(PREFIX) else None
