"""Correct the artifact addresses in a SQLite store whose folder was moved or copied.

MLflow records absolute addresses of artifacts. Without the correction, a command in a moved checkout would create the
old folder again, and a command in a copied checkout would write artifacts to the original checkout.
"""

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from lectern.errors import UserError
from lectern.tracking.database_lock import lock_file

ARTIFACTS = "mlartifacts"  # name of the artifact folder, which is next to the database
PREFIX = "lectern/"  # prefix of the names of MLflow experiments
DEFAULT = "Default"  # name of the MLflow experiment that MLflow itself creates
ADDRESSES = (  # the columns in which MLflow records addresses of artifacts
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
    ("trace_tags", "value"),
)
TIMEOUT_S = 60
MESSAGE = f"Another process has used the tracking store for {TIMEOUT_S} seconds. Try again when the process has ended."


def correct_addresses(database: Path) -> None:
    """Replace the former folder of the database in all artifact addresses, in one transaction.

    Addresses outside of the former folder, such as addresses in S3, are not changed. Raises UserError if the database
    cannot be written, or if the artifacts were not moved or copied with the database.
    """
    with closing(sqlite3.connect(database, timeout=TIMEOUT_S)) as connection:
        if not former_folders(connection, database.parent):
            return
    try:
        with (
            lock_file(database.with_name(f"{database.name}.lock"), TIMEOUT_S, MESSAGE),
            closing(sqlite3.connect(database, timeout=TIMEOUT_S, isolation_level=None)) as connection,
        ):
            connection.execute("BEGIN IMMEDIATE")
            for former in former_folders(connection, database.parent):
                check_artifacts(database, former)
                replace_folder(connection, former, database.parent)
            connection.execute("COMMIT")
    except (PermissionError, sqlite3.OperationalError) as error:
        raise UserError(
            f"{database} was moved or copied, and its artifact addresses cannot be corrected: {error}. "
            "Run `lectern registry list` once as a user with the permission to write to the file and its folder."
        ) from error


def move_default_experiment(new: Path, database: Path) -> None:
    """Set the artifact folder of MLflow's experiment `Default` to a subfolder of the store's artifact folder.

    MLflow would use a folder in the current directory. `new` is the temporary name of the database.
    """
    location = (database.with_name(ARTIFACTS) / DEFAULT).as_uri()
    with closing(sqlite3.connect(new)) as connection, connection:
        connection.execute("UPDATE experiments SET artifact_location = ? WHERE name = ?", (location, DEFAULT))


def former_folders(connection: sqlite3.Connection, present: Path) -> list[Path]:
    """Return the former folders of the database, as recorded with its MLflow experiments, the deepest folder first."""
    rows = connection.execute("SELECT name, artifact_location FROM experiments").fetchall()
    folders = {recorded_folder(name, location) for name, location in rows if location}
    former = {folder for folder in folders if folder and folder.resolve() != present.resolve()}
    return sorted(former, key=lambda folder: len(folder.parts), reverse=True)


def recorded_folder(experiment: str, location: str) -> Path | None:
    """Return the folder that contained the database when an MLflow experiment was created.

    Return None if `location` is not in the artifact folder of a SQLite store.
    """
    path = local_path(location)
    if path is None or not path.is_absolute() or path.parts[-2:] != (ARTIFACTS, experiment.removeprefix(PREFIX)):
        return None
    return path.parents[1]


def local_path(address: str) -> Path | None:
    """Return the path of an artifact address with or without `file://`, or None if the address is not a local path."""
    parts = urlsplit(address)
    if parts.scheme == "file":
        return Path(url2pathname(parts.path))
    return None if parts.scheme else Path(address)


def check_artifacts(database: Path, former: Path) -> None:
    """Raise UserError if the artifacts are still in the former folder of the database and not in the present folder."""
    present = database.with_name(ARTIFACTS)
    if not present.exists() and (former / ARTIFACTS).is_dir():
        raise UserError(
            f"{database} was moved or copied without its artifacts, which are in {former / ARTIFACTS}. "
            f"To copy the artifacts, run cp -r '{former / ARTIFACTS}' '{present}'. "
            f"To start without artifacts, run mkdir '{present}'"
        )


def replace_folder(connection: sqlite3.Connection, former: Path, present: Path) -> None:
    """Replace the folder `former` at the start of every artifact address, with and without `file://`."""
    for old, new in ((f"{former.as_uri()}/", f"{present.as_uri()}/"), (f"{former}/", f"{present}/")):
        for table, column in ADDRESSES:
            connection.execute(
                f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE substr({column}, 1, ?) = ?",
                (new, len(old) + 1, len(old), old),
            )
