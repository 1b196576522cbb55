"""Create the tables of a new tracking store only once, even if several processes use it for the first time.

MLflow creates and migrates the tables in many steps. Two processes that do this at the same time, or a process that is
killed meanwhile, would leave a database that no command can use.
"""

from contextlib import nullcontext
from pathlib import Path

from mlflow import MlflowClient

from lectern.atomic import atomic_file
from lectern.tracking.database_lock import POSTGRES, lock_file, lock_in_postgres
from lectern.tracking.moved_store import correct_addresses, move_default_experiment

TIMEOUT_S = 600  # creating the tables takes some seconds, but many processes can wait for the lock
MESSAGE = f"Another process has been creating the tracking store for {TIMEOUT_S} seconds. Try again when it has ended."
INCOMPLETE = ("_alembic_tmp", "already exists", "no such table", "not a database", "malformed", "Can't locate revision")


def open_client(address: str, database: Path | None) -> MlflowClient:
    """Return a client of the store after a test query. `database` is the file of a SQLite store."""
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
    """Create a complete database under a temporary name, and rename it."""
    database.parent.mkdir(parents=True, exist_ok=True)
    with lock_file(database.with_name(f"{database.name}.lock"), TIMEOUT_S, MESSAGE):
        if is_created(database):
            return
        with atomic_file(database) as part:
            address = f"sqlite:///{part.absolute()}"
            client = MlflowClient(address, address)
            client.search_experiments(max_results=1)
            client.search_registered_models(max_results=1)
            move_default_experiment(part, database)


def incomplete_remedy(database: Path | None, error: Exception) -> str | None:
    """Return what the user can do if a SQLite store is damaged, or None if the error has another cause."""
    if database is None or not any(text in str(error) for text in INCOMPLETE):
        return None
    return (
        f"{database} is damaged or incomplete. Move it away (mv {database} {database}.damaged) and run "
        "`lectern reconcile`, which fills a new store."
    )
