"""Lock a registered model, so that only one decision is made at a time.

MLflow has no operation that changes an alias only if it has an expected value.
"""

from contextlib import AbstractContextManager
from pathlib import Path

from lectern.artifacts.paths import AUDIT_LOGS
from lectern.registry.registered_model import RegisteredModel
from lectern.tracking.database_lock import POSTGRES, lock_file, lock_in_postgres
from lectern.tracking.store import sqlite_file

TIMEOUT_S = 300  # A promotion can take a minute, because the champion and the candidate are scored again.


def promotion_lock(model: RegisteredModel) -> AbstractContextManager[None]:
    """Wait for the lock of a model and keep it until the block ends.

    The lock is an advisory lock in PostgreSQL, or a file next to a SQLite store. A tracking server has no lock. In this
    case, a lock file excludes only the promotions of this checkout. `check_champion` then reports promotions of other
    machines. Raises UserError if another decision takes too long.
    """
    address = model.client.tracking_uri
    message = (
        f"Another decision on {model.name} has held the lock for {TIMEOUT_S} seconds. "
        "Try again when that command has ended."
    )
    if address.startswith(POSTGRES):
        return lock_in_postgres(address, model.name, TIMEOUT_S, message)
    database = sqlite_file(address)
    path = (database.parent if database else Path()) / AUDIT_LOGS / f"{model.name}.lock"
    return lock_file(path, TIMEOUT_S, message)
