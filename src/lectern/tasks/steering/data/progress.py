"""Show a progress bar for a long loop."""

import sys
from collections.abc import Iterable
from typing import TypeVar

from tqdm.auto import tqdm

Item = TypeVar("Item")


def progress(items: Iterable[Item], name: str, total: int | None, unit: str) -> Iterable[Item]:
    """Yield the items of an iterable and show a progress bar.

    The progress bar is updated every 0.2 s in a terminal and every 30 s in a log file.
    """
    interval = 0.2 if sys.stderr.isatty() else 30
    return tqdm(items, name, total, unit=unit, mininterval=interval, dynamic_ncols=True)
