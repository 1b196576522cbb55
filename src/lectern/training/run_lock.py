"""Lock the run directory with the checkpoints of a training, and delete the directory after the training."""

import os
import shutil
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from lectern.errors import UserError

# maximum waiting time in seconds after a restart by Slurm; a shared file system can keep the lock of a failed node
SHARED_LOCK_TIMEOUT = 180.0


@contextmanager
def lock_run_directory(folder: Path) -> Iterator[None]:
    """Create a run directory, and lock the run directory until the block ends.

    Raises UserError if another process has locked the run directory. The operating system releases the lock of a killed
    process.
    """
    folder.mkdir(parents=True, exist_ok=True)
    owner = folder.with_suffix(".owner")
    try:
        with FileLock(folder.with_suffix(".lock"), timeout=lock_timeout()):
            owner.write_text(describe_process())
            yield
    except Timeout as error:
        holder = f" The directory is locked by {owner.read_text()}." if owner.exists() else ""
        raise UserError(
            f"{folder} is in use: another process runs the same training. "
            f"Wait until the other process has finished, or stop the process.{holder}"
        ) from error


def lock_timeout() -> float:
    """Return the maximum number of seconds to wait for the lock. It is 0 unless Slurm has restarted this job."""
    return SHARED_LOCK_TIMEOUT if os.environ.get("SLURM_RESTART_COUNT") else 0.0


def describe_process() -> str:
    """Return a text with the ID, the host name and the Slurm job of this process."""
    job = os.environ.get("SLURM_JOB_ID")
    return f"process {os.getpid()} on {socket.gethostname()}{f', Slurm job {job}' if job else ''}"


def clear_run_directory(folder: Path, keep: Iterable[Path]) -> None:
    """Delete a run directory and its lock, except the folders in `keep`."""
    kept = set(keep)
    for path in folder.iterdir():
        if path in kept:
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    if not any(folder.iterdir()):
        folder.rmdir()
    for suffix in (".lock", ".owner"):
        folder.with_suffix(suffix).unlink(missing_ok=True)
