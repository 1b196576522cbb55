"""Limit the number of log messages, so that a client cannot fill the disk with the log of the server."""

import logging
import time
import traceback
from collections import defaultdict
from dataclasses import dataclass, field

BURST = 30  # number of messages of one origin that are logged without a pause
REFILL_SECONDS = 10  # after a burst, one message of the origin per this number of seconds is logged


@dataclass
class Budget:
    """The number of messages that may still be logged, and the number of messages that were not logged."""

    left: float = BURST
    updated_at: float = field(default_factory=lambda: time.monotonic())
    dropped: int = 0

    def take(self, now: float) -> bool:
        """Return whether the next message may be logged."""
        self.left = min(BURST, self.left + (now - self.updated_at) / REFILL_SECONDS)
        self.updated_at = now
        if self.left < 1:
            self.dropped += 1
            return False
        self.left -= 1
        return True


class LogLimit(logging.Filter):
    """A filter that drops log messages if the same line of code writes too many messages.

    The first message after dropped messages contains the number of dropped messages.
    """

    def __init__(self) -> None:
        super().__init__()
        self.budgets = defaultdict[tuple[str, int], Budget](Budget)

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to log a record."""
        budget = self.budgets[find_origin(record)]
        if not budget.take(time.monotonic()):
            return False
        if budget.dropped:
            record.msg = f"{record.getMessage()} ({budget.dropped} similar messages were not logged)"
            record.args, budget.dropped = (), 0
        return True


def find_origin(record: logging.LogRecord) -> tuple[str, int]:
    """Return the file and the line that raised the exception of a record, or that wrote a record without exception."""
    error = record.exc_info[1] if record.exc_info else None
    frames = traceback.extract_tb(error.__traceback__) if error else []
    return (frames[-1].filename, frames[-1].lineno or 0) if frames else (record.pathname, record.lineno)
