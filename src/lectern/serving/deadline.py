"""Stop a running prediction after its time limit, or if its client has disconnected.

A PyTorch hook checks the time limit before each layer of every network, so the tasks need no code for this check.
"""

import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from torch.nn.modules.module import register_module_forward_pre_hook

Result = TypeVar("Result")

thread_state = threading.local()


class Cancelled(Exception):
    """Raised in a prediction if its result is no longer needed."""


class ModelBusy(Exception):
    """Raised if a model has too many requests in progress."""


class PredictionTimeout(ModelBusy):
    """Raised in a prediction that takes longer than its time limit."""


class Deadline:
    """The time limit of one prediction. It starts when the object is created. Set `cancelled` to stop earlier."""

    def __init__(self, seconds: int | float):
        self.seconds = seconds
        self.expires_at = time.monotonic() + seconds
        self.cancelled = False

    def run(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Run the function and return its result.

        Raises ModelBusy if the time limit was reached before the function started. Raises PredictionTimeout or
        Cancelled before the next layer of a network if the function has to stop.
        """
        if time.monotonic() > self.expires_at:
            raise ModelBusy(f"No worker of this model was free within {self.seconds:g} seconds. Retry later.")
        thread_state.deadline = self
        try:
            return function(*arguments)
        finally:
            thread_state.deadline = None

    def check(self) -> None:
        """Raise Cancelled or PredictionTimeout if the prediction has to stop."""
        if self.cancelled:
            raise Cancelled
        if time.monotonic() > self.expires_at:
            raise PredictionTimeout(
                f"The prediction took longer than {self.seconds:g} seconds "
                "(prediction_timeout_seconds in conf/serve.yaml). Send fewer inputs, or use `lectern predict`."
            )


def install_deadline_hook() -> None:
    """Check the deadline of the current thread before each layer of every network in this process."""
    register_module_forward_pre_hook(lambda module, inputs: check_current_deadline())


def check_current_deadline() -> None:
    deadline: Deadline | None = getattr(thread_state, "deadline", None)
    if deadline is not None:
        deadline.check()
