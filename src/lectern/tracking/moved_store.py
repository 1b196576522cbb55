"""Correct the addresses in a SQLite store whose folder was moved or copied.

MLflow records absolute addresses of artifacts. Without a correction, commands in a moved checkout would create the old
folder again, and commands in a copy would write into the store of the original.
"""

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from lectern.errors import UserError
from lectern.tracking.database_lock import lock_file

ARTIFACTS = "mlartifacts"  # the folder next to the database that contains the artifacts
PREFIX = "lectern/"  # of the names of experiments
DEFAULT = "Default"  # the experiment that MLflow creates
ADDRESSES = (  # the columns in which MLflow records addresses of artifacts
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
    ("trace_tags", "value"),
)
TIMEOUT_S = 60
MESSAGE = f"Another process has used the tracking store for {TIMEOUT_S} seconds. Try again when it has ended."


def correct_addresses(database: Path) -> None:
    """Make the addresses of the artifacts refer to the folder of the database, in one transaction.

    Addresses outside of the recorded folder, such as S3, are not changed. Raises UserError if the database cannot be
    written, or if the artifacts were not moved or copied with it.
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
            f"{database} was moved or copied, and the addresses in it cannot be corrected: {error}. Run `lectern "
            "registry list` once as a user who may write to this file and its folder."
        ) from error


def move_default_experiment(new: Path, database: Path) -> None:
    """Keep the artifacts of MLflow's experiment `Default` with the others, instead of in the current directory.

    `new` is the temporary name of the database.
    """
    location = (database.with_name(ARTIFACTS) / DEFAULT).as_uri()
    with closing(sqlite3.connect(new)) as connection, connection:
        connection.execute("UPDATE experiments SET artifact_location = ? WHERE name = ?", (location, DEFAULT))


def former_folders(connection: sqlite3.Connection, present: Path) -> list[Path]:
    """Return the other folders in which the experiments of this store were created, the deepest first."""
    rows = connection.execute("SELECT name, artifact_location FROM experiments").fetchall()
    folders = {recorded_folder(name, location) for name, location in rows if location}
    former = {folder for folder in folders if folder and folder.resolve() != present.resolve()}
    return sorted(former, key=lambda folder: len(folder.parts), reverse=True)


def recorded_folder(experiment: str, location: str) -> Path | None:
    """Return the folder of the database at the time when an experiment was created, or None for another location."""
    path = local_path(location)
    if path is None or not path.is_absolute() or path.parts[-2:] != (ARTIFACTS, experiment.removeprefix(PREFIX)):
        return None
    return path.parents[1]


def local_path(address: str) -> Path | None:
    """Return the path of an address, with or without `file://`, or None if the address is not on this machine."""
    parts = urlsplit(address)
    if parts.scheme == "file":
        return Path(url2pathname(parts.path))
    return None if parts.scheme else Path(address)


def check_artifacts(database: Path, former: Path) -> None:
    """Raise UserError if the artifacts are still in the former folder, and the present folder has none."""
    present = database.with_name(ARTIFACTS)
    if not present.exists() and (former / ARTIFACTS).is_dir():
        raise UserError(
            f"{database} was moved or copied without its artifacts, which are in {former / ARTIFACTS}. Copy them: "
            f"cp -r '{former / ARTIFACTS}' '{present}'. To start without them: mkdir '{present}'"
        )


def replace_folder(connection: sqlite3.Connection, former: Path, present: Path) -> None:
    """Replace a folder at the beginning of every address, with and without `file://`."""
    for old, new in ((f"{former.as_uri()}/", f"{present.as_uri()}/"), (f"{former}/", f"{present}/")):
        for table, column in ADDRESSES:
            connection.execute(
                f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE substr({column}, 1, ?) = ?",
                (new, len(old) + 1, len(old), old),
            )
