"""Explain the error of a user without the permission to write to a file or to the tracking store."""

import errno
from pathlib import Path

from requests import HTTPError

from lectern.errors import UserError

READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS)
READ_ONLY_DATABASE = ("readonly database", "read-only database", "read-only transaction", "permission denied for")
REFUSED_STATUSES = (401, 403)
REFUSED = ("PERMISSION_DENIED", "UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED")


def explain_refusal(error: Exception) -> UserError | None:
    """Return the message for a missing permission, or None if the error has another cause."""
    if isinstance(error, HTTPError):  # MLflow uploads and downloads artifacts without its own exceptions
        status = error.response.status_code if error.response is not None else None
        return explain_store(f"{error}.") if status in REFUSED_STATUSES else None
    if isinstance(error, OSError):
        return explain_file(error) if error.errno in READ_ONLY else None
    from mlflow.exceptions import MlflowException  # the import of this library takes a second

    from lectern.tracking.store import first_line

    is_refused = isinstance(error, MlflowException) and error.error_code in REFUSED
    if is_refused or any(text in str(error) for text in READ_ONLY_DATABASE):
        return explain_store(first_line(error))
    return None


def explain_file(error: OSError) -> UserError:
    """Return a message that contains the file and two ways to continue without the permission."""
    path = Path(error.filename).absolute() if isinstance(error.filename, str) else Path.cwd()
    return UserError(
        f"{path}: {error.strerror}. This command needs the permission to use this file. Run it as a user who has the "
        "permission, or in a clone of your own; MLFLOW_TRACKING_URI selects a shared store."
    )


def explain_store(reason: str) -> UserError:
    """Name the store and the account, and the permission to request."""
    from lectern.tracking.account import hide_passwords, server_account, system_user
    from lectern.tracking.store import store_address

    address = store_address()
    account = server_account(address) or system_user()
    return UserError(
        hide_passwords(
            f"The tracking store {address} refuses this to {account}: {reason} Ask its administrator for the "
            "permission to change this model or experiment; docs/server.md lists the permissions."
        )
    )
