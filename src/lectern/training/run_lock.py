"""The folder that a training keeps its checkpoints in: one process at a time, gone once the model stands."""

import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from lectern.errors import UserError


@contextmanager
def lock_run_directory(folder: Path) -> Iterator[None]:
    """Hold the folder's lock, which a killed process lets go of. Raises UserError where another process has it."""
    folder.mkdir(parents=True, exist_ok=True)
    owner = folder.with_suffix(".owner")
    try:
        with FileLock(folder.with_suffix(".lock"), timeout=patience()):
            owner.write_text(who())
            yield
    except Timeout as error:
        holder = f" It is held by {owner.read_text()}." if owner.exists() else ""
        raise UserError(
            f"{folder} is in use: this very training is running in another process. Wait for it, or end it.{holder}"
        ) from error


def patience() -> float:
    """Seconds to wait for the lock: a shared file system keeps that of a node that died for a while."""
    return 180.0 if os.environ.get("SLURM_RESTART_COUNT") else 0.0


def who() -> str:
    """This process, as somebody on another machine can find it."""
    job = os.environ.get("SLURM_JOB_ID")
    return f"process {os.getpid()} on {socket.gethostname()}{f', Slurm job {job}' if job else ''}"


def clear(folder: Path, keep: Path) -> None:
    """Delete what was only there to resume from, but a model that was put inside."""
    for path in folder.iterdir():
        if path != keep and path.is_file():
            path.unlink()
    if not any(folder.iterdir()):
        shutil.rmtree(folder)
    for ending in (".lock", ".owner"):
        folder.with_suffix(ending).unlink(missing_ok=True)
