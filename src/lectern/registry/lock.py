"""Lock a registered model, so that only one process at a time promotes, rolls back or retires its versions.

A lock is needed, because MLflow cannot check the value of an alias and change the alias in a single step.
"""

from contextlib import AbstractContextManager
from pathlib import Path

from lectern.artifacts.paths import AUDIT_LOGS
from lectern.registry.registered_model import RegisteredModel
from lectern.tracking.database_lock import POSTGRES, lock_file, lock_in_postgres
from lectern.tracking.sqlite_address import sqlite_file

TIMEOUT_S = 300  # long enough for a promotion, which takes a minute if champion and candidate are scored again


def promotion_lock(model: RegisteredModel) -> AbstractContextManager[None]:
    """Wait for the lock of a model, and hold the lock until the block ends.

    For PostgreSQL, the lock is an advisory lock. For SQLite, the lock is a file next to the database. For a tracking
    server, the lock is a file in this checkout. This file does not prevent promotions in other checkouts, but
    `check_champion` detects such promotions. Raises UserError if another process holds the lock for too long.
    """
    address = model.client.tracking_uri
    message = (
        f"Another promotion, rollback or retirement of {model.name} has held the lock for {TIMEOUT_S} seconds. "
        "Try again when the other command has ended."
    )
    if address.startswith(POSTGRES):
        return lock_in_postgres(address, model.name, TIMEOUT_S, message)
    database = sqlite_file(address)
    path = (database.parent if database else Path()) / AUDIT_LOGS / f"{model.name}.lock"
    return lock_file(path, TIMEOUT_S, message)
