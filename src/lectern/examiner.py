"""Questions answered in a process beside this one, which imports PyTorch while this one opens the store."""

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from importlib import import_module
from typing import Any

Ask = Callable[..., Any]  # ask(function, *arguments): what function(*arguments) gives


def here(function: Callable, *arguments: Any) -> Any:
    return function(*arguments)


@contextmanager
def beside() -> Iterator[Ask]:
    """Whom to ask as `here`; to import PyTorch and Lightning takes four seconds, and to end them one."""
    others = multiprocessing.active_children()
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:  # a fork copies locks that are held
        process.submit(import_module, "lectern.models")
        try:
            yield lambda function, *arguments: process.submit(function, *arguments).result()
        finally:
            for child in set(multiprocessing.active_children()).difference(others):
                child.terminate()
