"""Load a model with packaged code, and call the methods of the model.

The functions of `packaged_worker.py` run in the separate process of a `PackagedModel`.
"""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from itertools import count
from multiprocessing import parent_process
from pathlib import Path
from typing import Any, NamedTuple

from lectern.errors import UserError


class Loaded(NamedTuple):
    """The ID of the process, and the facts and the signature of the loaded model."""

    process: int
    facts: dict[str, Any]
    signature: dict[str, Any]


class UnknownIterator(Exception):
    """Raised if an iterator does not exist in this process, because a new process has replaced the old process."""


model: Any = None  # an object of the class LoadedModel in the packaged code
packaged_error: type[Exception] = UserError  # the class UserError in the packaged code
iterators: dict[int, Iterator[Any]] = {}
numbers = count()


def load(code: Path, model_folder: Path, threads: int | None) -> Loaded:
    """Load the model in `model_folder` with the packaged code in the folder `code`."""
    global model, packaged_error
    threading.Thread(target=end_with_parent, daemon=True).start()
    sys.path.insert(0, str(code.parent))
    packaged_error = import_module(f"{code.name}.errors").UserError
    loaded_model = import_module(f"{code.name}.registry.loaded_model")
    set_threads(threads)
    with converted_errors():
        model = loaded_model.LoadedModel.load(model_folder)
    return Loaded(os.getpid(), model.facts, model.signature)


def set_threads(threads: int | None) -> None:
    """Set the number of threads that PyTorch uses for one operation."""
    if threads:
        import torch

        torch.set_num_threads(threads)


def end_with_parent() -> None:
    """End this process when the parent process has ended, even if the parent was killed."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextmanager
def converted_errors() -> Iterator[None]:
    """Convert the packaged code's UserError to the checkout's UserError.

    The parent process can unpickle only the checkout's UserError, because it does not import the packaged code.
    """
    try:
        yield
    except packaged_error as error:
        raise UserError(str(error)) from None


def call(method: str, *arguments: Any) -> Any:
    """Call a method of the model, and return the result."""
    with converted_errors():
        return getattr(model, method)(*arguments)


def start_iterator(method: str, *arguments: Any) -> int:
    """Call a method of the model that returns an iterator, store the iterator, and return its number."""
    number = next(numbers)
    iterators[number] = iter(call(method, *arguments))
    return number


def next_items(number: int) -> list[Any]:
    """Return a list with the next item of an iterator, or an empty list if the iterator has no more items."""
    if number not in iterators:
        raise UnknownIterator
    with converted_errors():
        return [item for item in [next(iterators[number], END)] if item is not END]


def stop_iterator(number: int) -> None:
    """Delete the iterator with the number `number`."""
    iterators.pop(number, None)


END = object()
