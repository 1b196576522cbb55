"""Lock a file, or lock a name in a PostgreSQL database, for the duration of a block."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from lectern.errors import UserError

POSTGRES = ("postgresql://", "postgresql+", "postgres://")


@contextmanager
def lock_file(path: Path, timeout: int | float, message: str) -> Iterator[None]:
    """Lock a file until the block ends.

    Raises UserError with the text `message` if another process holds the lock for `timeout` seconds.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(path, timeout=timeout):
            yield
    except Timeout as error:
        raise UserError(message) from error


@contextmanager
def lock_in_postgres(address: str, name: str, timeout: int | float, message: str) -> Iterator[None]:
    """Lock a name in a PostgreSQL database until the block ends. PostgreSQL releases the lock if the connection ends.

    Raises UserError with the text `message` if another process holds the lock for `timeout` seconds.
    """
    from sqlalchemy import NullPool, create_engine, text
    from sqlalchemy.exc import OperationalError

    engine = create_engine(address, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"SET lock_timeout = '{timeout}s'"))
        try:
            connection.execute(text("SELECT pg_advisory_lock(hashtextextended(:key, 0))"), {"key": f"lectern/{name}"})
        except OperationalError as error:
            raise UserError(message) from error
        yield
