"""Define the exceptions for errors that a user can fix."""

from collections.abc import Sequence
from typing import Any


class UserError(Exception):
    """An error that the user can fix.

    The error message says what was found, what was expected and what the user can do.

    The stages and the command line print the error message without a traceback, and exit with the exit code `code`.
    """

    code = 1


class CheckFailed(UserError):
    """Raised if a version fails the promotion gate, a link of its lineage is broken, or its score cannot be reproduced.

    `answers` contains the result of each rule of the promotion gate.
    """

    code = 3

    def __init__(self, message: str, answers: Sequence[Any] = ()):
        super().__init__(message)
        self.answers = answers


class ConcurrentPromotion(UserError):
    """Raised if two processes promote versions of one model at the same time."""

    code = 4
