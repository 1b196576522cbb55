"""Define the errors that a user can cause and fix."""

from collections.abc import Sequence
from typing import Any


class UserError(Exception):
    """An error that a user can fix. The message says what was found, what was expected and what the user can do.

    The stages and the command line print the message and exit with `code`, without a traceback.
    """

    code = 1


class CheckFailed(UserError):
    """Raised if the promotion gate, a link of the lineage or the check of a score fails.

    `answers` contains the result of each rule, if the check has several rules.
    """

    code = 3

    def __init__(self, message: str, answers: Sequence[Any] = ()):
        super().__init__(message)
        self.answers = answers


class ConcurrentPromotion(UserError):
    """Raised if another process promoted a version of the same model at the same time."""

    code = 4
