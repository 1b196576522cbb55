"""Lock a registered model, so that only one decision is made at a time. MLflow cannot compare and set an alias."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from lectern.artifacts.paths import AUDIT_LOGS
from lectern.errors import UserError
from lectern.registry.registered_model import RegisteredModel
from lectern.tracking.store import sqlite_file

TIMEOUT_S = 300  # Scoring the champion and the candidate again can take a minute.
POSTGRES = ("postgresql://", "postgresql+", "postgres://")


def promotion_lock(model: RegisteredModel) -> AbstractContextManager[None]:
    """Wait for the lock of a model and keep it until the block ends.

    The lock is an advisory lock in PostgreSQL, or a file next to a SQLite store. A tracking server has no lock. In this
    case, a file excludes only the promotions of this checkout, and `promotion.check_champion` reports promotions of
    other machines. Raises UserError if another decision takes too long.
    """
    address = model.client.tracking_uri
    if address.startswith(POSTGRES):
        return lock_in_postgres(address, model.name)
    database = sqlite_file(address)
    return lock_file((database.parent if database else Path()) / AUDIT_LOGS / f"{model.name}.lock", model.name)


@contextmanager
def lock_file(path: Path, name: str) -> Iterator[None]:
    path.parent.mkdir(exist_ok=True)
    try:
        with FileLock(path, timeout=TIMEOUT_S):
            yield
    except Timeout as error:
        raise timeout_error(name) from error


@contextmanager
def lock_in_postgres(address: str, name: str) -> Iterator[None]:
    """Keep a session-level lock. PostgreSQL releases it when the connection ends."""
    from sqlalchemy import NullPool, create_engine, text
    from sqlalchemy.exc import OperationalError

    engine = create_engine(address, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"SET lock_timeout = '{TIMEOUT_S}s'"))
        try:
            connection.execute(text("SELECT pg_advisory_lock(hashtextextended(:key, 0))"), {"key": f"lectern/{name}"})
        except OperationalError as error:
            raise timeout_error(name) from error
        yield


def timeout_error(name: str) -> UserError:
    return UserError(
        f"Another decision on {name} has held the lock for {TIMEOUT_S} seconds. Try again when it has ended."
    )
