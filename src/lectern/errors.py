"""Define the exceptions for errors that a user can fix, and hide the credentials in their messages."""

import re
from collections.abc import Sequence
from typing import Any

# A password can contain every character except blanks and quotation marks, so the last @ ends the credentials.
CREDENTIALS = re.compile(r"(?<=://)[^\s'\"<>]*@")
SECRET_PARAMETERS = re.compile(
    r"((?:password|passwd|pwd|token|secret|signature|credential|api_?key|sig)=)[^\s&'\"<>]+", re.IGNORECASE
)


def hide_credentials(text: str) -> str:
    """Return a text in which `***` replaces the credentials of every address.

    >>> hide_credentials("postgresql://ada:p@ss/w?rd@host/mlflow does not answer")
    'postgresql://***@host/mlflow does not answer'
    """
    return SECRET_PARAMETERS.sub(r"\1***", CREDENTIALS.sub("***@", text))


class UserError(Exception):
    """An error that the user can fix.

    The error message says what was found, what was expected and what the user can do. Credentials of addresses in the
    message are replaced by `***`.

    The stages and the command line print the error message without a traceback, and exit with the exit code `code`.
    """

    code = 1

    def __init__(self, message: str):
        super().__init__(hide_credentials(message))


class CheckFailed(UserError):
    """Raised if a version fails the promotion gate, a link in its lineage is broken, or its score cannot be reproduced.

    `answers` contains the result of each rule of the promotion gate.
    """

    code = 3

    def __init__(self, message: str, answers: Sequence[Any] = ()):
        super().__init__(message)
        self.answers = answers


class ConcurrentPromotion(UserError):
    """Raised if two processes promote versions of one model at the same time."""

    code = 4
