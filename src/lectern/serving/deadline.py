"""Stop a running prediction when its time limit is reached or its client has disconnected.

A PyTorch hook checks the time limit before each layer of every network, so the code of the tasks contains no checks.
"""

import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from torch.nn.modules.module import register_module_forward_pre_hook

Result = TypeVar("Result")

thread_state = threading.local()


class Cancelled(Exception):
    """Raised in a prediction if its client has disconnected."""


class ModelBusy(Exception):
    """Raised if a model has too many requests in progress, or if no worker thread becomes free in time."""


class PredictionTimeout(ModelBusy):
    """Raised in a prediction that has reached its time limit."""


class Deadline:
    """The time limit of one prediction. The time starts when the Deadline object is created.

    To stop the prediction before the time limit, set `cancelled` to True.
    """

    def __init__(self, seconds: int | float):
        self.seconds = seconds
        self.expires_at = time.monotonic() + seconds
        self.cancelled = False

    def run(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Call a function that predicts, and return its result.

        Raises ModelBusy if the time limit is reached before the function starts. If the time limit is reached later,
        the next layer of a network raises PredictionTimeout. If `cancelled` is set, the next layer raises Cancelled.
        """
        if time.monotonic() > self.expires_at:
            raise self.busy_error()
        thread_state.deadline = self
        try:
            return function(*arguments)
        finally:
            thread_state.deadline = None

    def busy_error(self) -> ModelBusy:
        return ModelBusy(f"No worker thread of this model was free within {self.seconds:g} seconds. Retry later.")

    def check(self) -> None:
        """Raise Cancelled if `cancelled` is set, or PredictionTimeout if the time limit is reached."""
        if self.cancelled:
            raise Cancelled
        if time.monotonic() > self.expires_at:
            raise PredictionTimeout(
                f"The prediction took longer than {self.seconds:g} seconds "
                "(prediction_timeout_seconds in conf/serve.yaml). Send fewer inputs, or use `lectern predict`."
            )


def install_deadline_hook() -> None:
    """Install a PyTorch hook that checks the deadline of the current thread before each layer of every network."""
    register_module_forward_pre_hook(lambda module, inputs: check_current_deadline())


def check_current_deadline() -> None:
    deadline: Deadline | None = getattr(thread_state, "deadline", None)
    if deadline is not None:
        deadline.check()
