"""Write files and directories under temporary names, and give a complete file or directory its final name.

A file with its final name is therefore always complete, even after a crash or a power failure.
"""

import atexit
import errno
import glob
import json
import os
import re
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lectern.errors import UserError

REMEDIES = {  # maps the error number of a failed write to the advice in the error message
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), "Free some space"),
    **dict.fromkeys((errno.EROFS, errno.EACCES, errno.EPERM), "Make the folder writable"),
    errno.EIO: "Check the disk",
}
NUMPY_DISK_FULL = "requested and"  # NumPy's OSError for a full disk contains this text and no error number
STALE_SECONDS = 7 * 24 * 3600  # after this age, a temporary file is treated as left over from a process that has ended


@contextmanager
def atomic_file(path: Path, backup: Path | None = None) -> Iterator[Path]:
    """Yield a temporary path next to `path`. If the block succeeds, rename the temporary file to `path`.

    If the block fails, the temporary file is deleted. If a file already exists at `path`, this old file is renamed to
    `backup`, or replaced if `backup` is None. Raises UserError if the disk is full or cannot be written.
    """
    part = path.with_name(f".{path.name}.{process_suffix()}")
    with report_write_error(path):
        remove_leftovers(path.parent, path.name)
        try:
            yield part
            sync(part)
            if backup and path.exists():
                os.replace(path, backup)
            os.replace(part, path)
            sync(path.parent)
        finally:
            part.unlink(missing_ok=True)


@contextmanager
def atomic_directory(path: Path) -> Iterator[Path]:
    """Yield an empty temporary directory, and move the directory to `path` if the block succeeds.

    An existing directory at `path` is replaced. If the block fails, the temporary directory is deleted.
    Raises UserError if the disk is full or cannot be written.
    """
    with report_write_error(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(path.parent, path.name)
        with temporary_directory(path.parent, path.name) as scratch:
            part = scratch / path.name
            part.mkdir()
            yield part
            for written in [*part.rglob("*"), part]:
                sync(written)
            replace_directory(part, path, scratch / "replaced")
            sync(path.parent)


def replace_directory(part: Path, path: Path, backup: Path) -> None:
    """Rename `part` to `path`.

    An existing directory at `path` is first moved to `backup`. If the rename of `part` fails, the existing directory is
    moved back to `path`.
    """
    if path.exists():
        os.replace(path, backup)
    try:
        os.replace(part, path)
    except OSError:
        if backup.exists():
            os.replace(backup, path)
        raise


@contextmanager
def temporary_directory(parent: Path, name: str = "") -> Iterator[Path]:
    """Yield an empty temporary directory inside `parent`, and delete this directory at the end of the block."""
    prefix = f".{name}." if name else "."
    scratch = Path(tempfile.mkdtemp(prefix=prefix, suffix=f".{process_suffix()}", dir=parent))
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def create_process_directory(prefix: str) -> Path:
    """Create a directory in the system's folder for temporary files, and delete it when this process ends."""
    directory = Path(tempfile.mkdtemp(prefix=prefix))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    return directory


def remove_leftovers(parent: Path, name: str = "") -> None:
    """Delete the temporary files and directories that killed processes have left in `parent`.

    If `name` is given, delete only the temporary files for the final name `name`.
    """
    pattern = f".{glob.escape(name)}.*.part" if name else ".*.part"
    for part in parent.glob(pattern):
        if not is_abandoned(part):
            continue
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
        else:
            part.unlink(missing_ok=True)


def is_abandoned(part: Path) -> bool:
    """Return whether the process that created the temporary file `part` has ended."""
    owner, _, pid = part.name.removesuffix(".part").rpartition("-")
    if owner.endswith(f".{socket.gethostname()}") and pid.isdecimal():
        return not is_running(int(pid))
    return part.exists() and time.time() - part.stat().st_mtime > STALE_SECONDS


def is_running(pid: int) -> bool:
    """Return whether a process with the ID `pid` exists on this machine."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def process_suffix() -> str:
    """Return a file suffix with the host name and the process ID. No two running processes have the same suffix."""
    return f"{socket.gethostname()}-{os.getpid()}.part"


def sync(path: Path) -> None:
    """Wait until the content of a file, or the list of files in a directory, is stored on the disk (fsync)."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def report_write_error(path: Path) -> Iterator[None]:
    """Convert an OSError of a failed write to `path` into a UserError whose message says what to do."""
    try:
        yield
    except OSError as error:
        if message := explain_write_error(error):
            raise UserError(f"{path} could not be written: {message} No half-written file was left.") from error
        raise


def explain_write_error(error: OSError) -> str | None:
    """Return an error message if a full, read-only or broken disk caused the error, and otherwise None."""
    # The message of shutil.Error contains the error numbers of several files.
    numbers = re.findall(r"\[Errno (\d+)\]", str(error))
    known = [REMEDIES[int(number)] for number in numbers if int(number) in REMEDIES]
    remedy = next(iter(known), "Free some space" if NUMPY_DISK_FULL in str(error) else None)
    return remedy and f"{error}. {remedy} and run the same command again."


def write_json(path: Path, value: Any) -> None:
    """Write a value as a JSON file atomically. Equal values give files with equal bytes."""
    text = json.dumps(value, indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n"
    with atomic_file(path) as part:
        part.write_text(text, encoding="utf-8")
