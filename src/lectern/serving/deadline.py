"""A computation in a thread to its end, or to an earlier one: out of time, or wanted by nobody any more.

PyTorch asks before each layer of whatever network, so that no room needs to know of it.
"""

import threading
import time
from collections.abc import Callable
from typing import Any

from torch.nn.modules.module import register_module_forward_pre_hook

here = threading.local()


class Cancelled(Exception):
    """Nobody waits for this any more."""


class Busy(Exception):
    """More is under way than the settings allow."""


class TooLong(Busy):
    """It was begun, and is not done in its time."""


class Deadline:
    """What one computation may cost, from the moment that it is asked for; `wanted` may be taken back meanwhile."""

    def __init__(self, seconds: float):
        self.seconds, self.until, self.wanted = seconds, time.monotonic() + seconds, True

    def run(self, function: Callable, *arguments: Any) -> Any:
        """The function's result. Raises Busy where its time went by in a queue, TooLong or Unwanted in the middle."""
        if time.monotonic() > self.until:
            raise Busy(f"This model was busy with others for {self.seconds:g} seconds. Come again later.")
        here.effort = self
        try:
            return function(*arguments)
        finally:
            here.effort = None

    def check(self) -> None:
        if not self.wanted:
            raise Cancelled
        if time.monotonic() > self.until:
            raise TooLong(
                f"This was not answered within {self.seconds:g} seconds, the most that an answer may take "
                "(answer_seconds in conf/serve.yaml). Ask for less at a time, or use `lectern predict`."
            )


def watch() -> None:
    """From now on every layer of this process asks first."""
    register_module_forward_pre_hook(lambda *_: check())


def check() -> None:
    effort = getattr(here, "effort", None)
    if effort is not None:
        effort.check()
