"""Write files and directories under a temporary name and rename them when they are complete.

A file with its final name is always complete, even after a crash or a power failure.
"""

import glob
import json
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

STALE_SECONDS = 7 * 24 * 3600  # The process of an older temporary file has ended, even if it ran on another machine.


@contextmanager
def atomic_file(path: Path, backup: Path | None = None) -> Iterator[Path]:
    """Yield a temporary path in the directory of `path`, and rename it to `path` if the block succeeds.

    The temporary file is deleted if the block fails. An older file at `path` is renamed to `backup`. Without `backup`,
    it is deleted.
    """
    remove_leftovers(path.parent, path.name)
    part = path.with_name(f".{path.name}.{process_suffix()}")
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
    """Yield an empty temporary directory with the same name as `path`, and move it to `path` if the block succeeds.

    It replaces an older directory at `path`. It is deleted if the block fails.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(path.parent, path.name)
    with temporary_directory(path.parent, path.name) as scratch:
        part = scratch / path.name
        part.mkdir()
        yield part
        for written in [*part.rglob("*"), part]:
            sync(written)
        shutil.rmtree(path, ignore_errors=True)
        os.replace(part, path)
        sync(path.parent)


@contextmanager
def temporary_directory(parent: Path, name: str = "") -> Iterator[Path]:
    """Yield an empty directory in `parent`, on the same disk, and delete it at the end of the block."""
    prefix = f".{name}." if name else "."
    scratch = Path(tempfile.mkdtemp(prefix=prefix, suffix=f".{process_suffix()}", dir=parent))
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def remove_leftovers(parent: Path, name: str = "") -> None:
    """Delete the temporary files and directories of killed processes in `parent`.

    With a `name`, delete only its files.
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
    """Return whether the process that wrote a temporary file has ended."""
    owner, _, pid = part.name.removesuffix(".part").rpartition("-")
    if owner.endswith(f".{socket.gethostname()}") and pid.isdecimal():
        return not is_running(int(pid))
    return part.exists() and time.time() - part.stat().st_mtime > STALE_SECONDS


def is_running(pid: int) -> bool:
    """Return whether this machine has a process with this id."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def process_suffix() -> str:
    """Return a file suffix that names this machine and process, so that two processes never use the same file."""
    return f"{socket.gethostname()}-{os.getpid()}.part"


def sync(path: Path) -> None:
    """Wait until the content of a file or the entries of a directory are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically. Equal values give equal bytes."""
    text = json.dumps(value, indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n"
    with atomic_file(path) as part:
        part.write_text(text, encoding="utf-8")
