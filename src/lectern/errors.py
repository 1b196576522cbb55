"""Define the exceptions for errors that a user can fix, and remove from messages what a terminal must not show."""

import re
import sys
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


def escape_control_characters(text: str, kept: str = "\n\t") -> str:
    """Return a text in which escapes such as `\\x1b` replace all characters that are not printable, except `kept`.

    A terminal would interpret control characters in names that other people have chosen.
    """
    return "".join(each if each.isprintable() or each in kept else repr(each)[1:-1] for each in text)


def format_message(text: str) -> str:
    """Return a message of Lectern for the terminal, without credentials and control characters."""
    return f"lectern: {escape_control_characters(hide_credentials(text))}"


def print_message(text: str) -> None:
    """Print a message of Lectern to the standard error output."""
    print(format_message(text), file=sys.stderr)


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
