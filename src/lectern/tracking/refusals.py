"""Explain errors that occur because the user lacks a permission for a file or for the tracking store."""

import errno
from pathlib import Path

from requests import HTTPError

from lectern.errors import UserError

READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS)
READ_ONLY_DATABASE = ("readonly database", "read-only database", "read-only transaction", "permission denied for")
REFUSED_STATUSES = (401, 403)
REFUSED = ("PERMISSION_DENIED", "UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED")


def explain_refusal(error: Exception) -> UserError | None:
    """Return a UserError if a missing permission caused the error, and otherwise None."""
    if isinstance(error, HTTPError):  # MLflow raises `requests.HTTPError` for uploads and downloads of artifacts
        status = error.response.status_code if error.response is not None else None
        return explain_store(f"{error}.") if status in REFUSED_STATUSES else None
    if isinstance(error, OSError):
        return explain_file(error) if error.errno in READ_ONLY else None
    from mlflow.exceptions import MlflowException  # importing MLflow takes a second

    from lectern.tracking.store import first_line

    is_refused = isinstance(error, MlflowException) and error.error_code in REFUSED
    if is_refused or any(text in str(error) for text in READ_ONLY_DATABASE):
        return explain_store(first_line(error))
    return None


def explain_file(error: OSError) -> UserError:
    """Return an error that names the file and two ways to continue without the permission."""
    path = Path(error.filename).absolute() if isinstance(error.filename, str) else Path.cwd()
    return UserError(
        f"{path}: {error.strerror}. The command needs the permission to use this file. "
        "Run the command as a user who has the permission, or in your own clone of the repository. "
        "In your own clone, MLFLOW_TRACKING_URI can select a shared tracking store."
    )


def explain_store(reason: str) -> UserError:
    """Return an error that names the tracking store, the account, and the missing permission."""
    from lectern.tracking.account import server_account, system_user
    from lectern.tracking.store import store_address

    address = store_address()
    account = server_account(address) or system_user()
    return UserError(
        f"The tracking store {address} refuses this operation for the account {account}: {reason} "
        "Ask the administrator of the tracking store for the permission to change this model or experiment; "
        "docs/server.md lists the permissions."
    )
