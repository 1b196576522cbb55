"""Find the account with which this process uses the tracking store, and hide the password of the account."""

import base64
import binascii
import getpass
import os
import re
import socket

import requests
from mlflow.utils.credentials import read_mlflow_creds

BASIC = "Basic "


def actor(address: str) -> dict[str, str]:
    """Return the user (the account on the tracking server, or else the system's user) and the host of a decision."""
    return {"user": server_account(address) or system_user(), "host": socket.gethostname()}


def system_user() -> str:
    """Return LECTERN_USER or the name of the system's user."""
    return os.environ.get("LECTERN_USER") or getpass.getuser()


def server_account(address: str) -> str | None:
    """Return the account of the requests to a tracking server; None for a database or a login without a name.

    MLflow reads the login from the environment or from `~/.mlflow/credentials`. `requests` prefers a login in
    `~/.netrc` or in the address. So the name is read from a request that is prepared but not sent.
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
    """Return the name in an HTTP header for basic authentication."""
    if not authorization.startswith(BASIC):
        return None
    try:
        decoded = base64.b64decode(authorization.removeprefix(BASIC)).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    return decoded.partition(":")[0] or None


def hide_passwords(text: str) -> str:
    """Replace the password in every address of a text by `***`."""
    return re.sub(r"(://[^/:@\s]*):[^/@\s]+@", r"\1:***@", text)
