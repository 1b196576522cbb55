"""Create the tables of a new tracking store, even if several processes use the new store at the same time.

MLflow creates the tables in many steps. If two processes created the tables at the same time, or if a process were
killed between two steps, no command could use the database.
"""

from contextlib import nullcontext
from pathlib import Path

from mlflow import MlflowClient

from lectern.atomic import atomic_file
from lectern.tracking.database_lock import POSTGRES, lock_file, lock_in_postgres
from lectern.tracking.moved_store import correct_addresses, move_default_experiment
from lectern.tracking.sqlite_address import sqlite_address

TIMEOUT_S = 600  # one process needs some seconds to create the tables, but many processes can wait for the lock
MESSAGE = (
    f"Another process has been creating the tracking store for {TIMEOUT_S} seconds. "
    "Try again when the process has ended."
)
INCOMPLETE = ("_alembic_tmp", "already exists", "no such table", "not a database", "malformed", "Can't locate revision")


def open_client(address: str, database: Path | None) -> MlflowClient:
    """Return a client of the tracking store after a test query. `database` is the file of a SQLite store, or None."""
    if database is not None and not is_created(database):
        create_sqlite(database)
    lock = lock_in_postgres(address, "store", TIMEOUT_S, MESSAGE) if address.startswith(POSTGRES) else nullcontext()
    with lock:
        client = MlflowClient(address, address)
        client.search_experiments(max_results=1)
    if database is not None:
        correct_addresses(database)
    return client


def is_created(database: Path) -> bool:
    return database.is_file() and database.stat().st_size > 0


def create_sqlite(database: Path) -> None:
    """Create a database with all tables under a temporary name, and rename the file when it is complete."""
    database.parent.mkdir(parents=True, exist_ok=True)
    with lock_file(database.with_name(f"{database.name}.lock"), TIMEOUT_S, MESSAGE):
        if is_created(database):
            return
        with atomic_file(database) as part:
            address = sqlite_address(part)
            client = MlflowClient(address, address)
            client.search_experiments(max_results=1)
            client.search_registered_models(max_results=1)
            move_default_experiment(part, database)


def incomplete_remedy(database: Path | None, error: Exception) -> str | None:
    """Return what the user can do if a damaged SQLite store caused the error, and otherwise None."""
    if database is None or not any(text in str(error) for text in INCOMPLETE):
        return None
    return (
        f"{database} is damaged or incomplete. Rename the file (mv {database} {database}.damaged) and run "
        "`lectern reconcile`, which creates and fills a new store."
    )
