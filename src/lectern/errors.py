"""What a user can cause, and can mend."""

from collections.abc import Sequence
from typing import Any


class UserError(Exception):
    """Something a user can mend: the message says what was found, what was expected and what to do.

    The stages and the command line print it and exit with its code, without a traceback.
    """

    code = 1


class CheckFailed(UserError):
    """The question was asked and the answer is no: of the gate, of a link of the lineage, of a score rebuilt.

    `answers` are the rules, where there were several questions.
    """

    code = 3

    def __init__(self, message: str, answers: Sequence[Any] = ()):
        super().__init__(message)
        self.answers = answers


class ConcurrentPromotion(UserError):
    """Another decided on the same model at the same moment, and won."""

    code = 4
