"""A store and a model's name to a lock: one decision at a time, as MLflow cannot compare and set an alias."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from mlflow import MlflowClient

from lectern.errors import UserError
from lectern.tracking.store import sqlite_file

PATIENCE = 300  # seconds; a gate that scores champion and candidate again can take a minute
POSTGRES = ("postgresql://", "postgresql+", "postgres://")


def promotion_lock(client: MlflowClient, name: str) -> AbstractContextManager[None]:
    """Wait until nobody else decides on the model, and keep it so.

    An advisory lock in PostgreSQL, a file beside a SQLite store. A server that is known by HTTP alone offers neither:
    there a file keeps this checkout's promotions apart, and those of other machines are told by `promotion.move`.
    Raises UserError where another decision takes too long.
    """
    address = client.tracking_uri
    if address.startswith(POSTGRES):
        return lock_in_postgres(address, name)
    beside = sqlite_file(address)
    return lock_file((beside.parent if beside else Path()) / "registry" / f"{name}.lock", name)


@contextmanager
def lock_file(path: Path, name: str) -> Iterator[None]:
    path.parent.mkdir(exist_ok=True)
    try:
        with FileLock(path, timeout=PATIENCE):
            yield
    except Timeout as error:
        raise too_long(name) from error


@contextmanager
def lock_in_postgres(address: str, name: str) -> Iterator[None]:
    """A lock of the session: it goes with the connection, however the process ends."""
    from sqlalchemy import NullPool, create_engine, text
    from sqlalchemy.exc import OperationalError

    engine = create_engine(address, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"SET lock_timeout = '{PATIENCE}s'"))
        try:
            connection.execute(text("SELECT pg_advisory_lock(hashtextextended(:what, 0))"), {"what": f"lectern/{name}"})
        except OperationalError as error:
            raise too_long(name) from error
        yield


def too_long(name: str) -> UserError:
    return UserError(f"Another decision on {name} has taken {PATIENCE} seconds. Ask again when it has ended.")
