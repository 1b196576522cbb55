"""Define the errors that a user can cause and fix."""

from collections.abc import Sequence
from typing import Any


class UserError(Exception):
    """An error that a user can fix. The message says what was found, what was expected and what to do.

    The stages and the command line print the message and exit with `code`, without a traceback.
    """

    code = 1


class CheckFailed(UserError):
    """A check that ran and failed: the promotion gate, a link of the lineage, or a reproduced score.

    `answers` contains the results of the single rules, if the check has several.
    """

    code = 3

    def __init__(self, message: str, answers: Sequence[Any] = ()):
        super().__init__(message)
        self.answers = answers


class ConcurrentPromotion(UserError):
    """Another process promoted a version of the same model at the same time."""

    code = 4
