"""Model folders examined in a process beside this one, which imports PyTorch while this one opens the store."""

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # pandas would be imported before the process beside is there
    from lectern.examination import Examined


@contextmanager
def examiner() -> Iterator[Callable[..., "Examined"]]:
    """`examination.examine`, in a process that lives as long as the context."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as beside:  # a fork copies locks that are held
        beside.submit(import_module, "lectern.models")
        yield lambda *arguments: beside.submit(examine, *arguments).result()


def examine(*arguments) -> "Examined":
    from lectern.examination import examine

    return examine(*arguments)
