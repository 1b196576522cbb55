"""The folder that a training keeps its checkpoints in: one process at a time, gone once the model stands."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from lectern.errors import UserError


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Hold the folder's lock, which a killed process lets go of. Raises UserError where another process has it."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder.with_suffix(".lock"), timeout=0):
            yield
    except Timeout as error:
        raise UserError(
            f"{folder} is in use: this very training is running in another process. Wait for it, or end it."
        ) from error


def clear(folder: Path, keep: Path) -> None:
    """Delete what was only there to resume from, but a model that was put inside."""
    for path in folder.iterdir():
        if path != keep and path.is_file():
            path.unlink()
    if not any(folder.iterdir()):
        shutil.rmtree(folder)
    folder.with_suffix(".lock").unlink(missing_ok=True)
