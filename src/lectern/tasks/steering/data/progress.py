"""Items to the same items, with one line that tells how far they are."""

import sys
from collections.abc import Iterable

from tqdm.auto import tqdm


def progress(items: Iterable, name: str, total: int | None, unit: str) -> Iterable:
    """A log file gets a line now and then, a terminal a bar that moves."""
    pause = 0.2 if sys.stderr.isatty() else 30
    return tqdm(items, name, total, unit=unit, mininterval=pause, dynamic_ncols=True)
