"""Find the name of the account that this process uses for the tracking store, and hide passwords in messages."""

import base64
import binascii
import getpass
import os
import socket

import requests
from mlflow.utils.credentials import read_mlflow_creds

BASIC = "Basic "


def actor(address: str) -> dict[str, str]:
    """Return the user and the host that the audit log records for a decision.

    The user is the account on the tracking server. Without an account on a tracking server, the user is the user of the
    system.
    """
    return {"user": server_account(address) or system_user(), "host": socket.gethostname()}


def system_user() -> str:
    """Return the environment variable LECTERN_USER, or the name of the system's user if LECTERN_USER is not set."""
    return os.environ.get("LECTERN_USER") or getpass.getuser()


def server_account(address: str) -> str | None:
    """Return the account that MLflow's requests to a tracking server use, or None for a database or an unknown account.

    MLflow reads the login from the environment or from `~/.mlflow/credentials`, but `requests` prefers a login in
    `~/.netrc` or in the address. The name of the account is therefore read from a request that is prepared and not
    sent.
    """
    if not address.startswith("http"):
        return None
    login = read_mlflow_creds()
    headers = {}
    if login.username and login.password:
        headers["Authorization"] = BASIC + base64.b64encode(f"{login.username}:{login.password}".encode()).decode()
    prepared = requests.Session().prepare_request(requests.Request("GET", address, headers))
    return decode_account(str(prepared.headers.get("Authorization", "")))


def decode_account(authorization: str) -> str | None:
    """Return the account name in an Authorization header with HTTP basic authentication."""
    if not authorization.startswith(BASIC):
        return None
    try:
        decoded = base64.b64decode(authorization.removeprefix(BASIC)).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    return decoded.partition(":")[0] or None
