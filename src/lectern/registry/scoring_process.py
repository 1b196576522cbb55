"""Questions answered in a process beside this one, which imports PyTorch while this one opens the store."""

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from lectern.errors import UserError

RunFunction = Callable[
    ..., Any
]  # ask(function, *arguments): what function(*arguments) gives, or the error that it raises


def run_inline(function: Callable, *arguments: Any) -> Any:
    """Whom to ask where PyTorch is imported already."""
    return function(*arguments)


@contextmanager
def scoring_worker() -> Iterator[RunFunction]:
    """Whom to ask elsewhere: importing PyTorch and Lightning takes four seconds, and waiting for their end one more."""
    others = multiprocessing.active_children()
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:  # a fork copies locks that are held
        process.submit(import_module, "lectern.artifacts.model_folder")
        try:
            yield lambda function, *arguments: process.submit(function, *arguments).result()
        except BrokenProcessPool as error:
            raise UserError(
                "The process that scores models was killed, as happens where memory runs out. Free some, and ask again."
            ) from error
        finally:
            for child in set(multiprocessing.active_children()).difference(others):
                child.terminate()
