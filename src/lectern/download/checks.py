"""What comes from outside in; a file that is whole and what was pinned, or a reason to refuse it, out."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lectern.artifacts.digests import file_digest
from lectern.errors import UserError


class SourceRejected(Exception):
    """What one address gave is not what was expected; the next one may still be right."""


@contextmanager
def unfinished(path: Path) -> Iterator[Path]:
    """A temporary name beside `path`: takes the place of `path` if the block ends well, is gone if not."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        with open(part, "rb") as file:
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def check(path: Path, sha256: str, bytes: int) -> None:
    """Raises Refused unless the file can be read and holds exactly what was pinned."""
    with reading():
        found = path.stat().st_size, file_digest(path)
    if found != (bytes, sha256):
        raise SourceRejected(
            f"altered or cut short: found {found[0]:,} bytes with sha256 {found[1]}, "
            f"expected {bytes:,} bytes with sha256 {sha256}"
        )


@contextmanager
def reading() -> Iterator[None]:
    """Around reading what somebody else owns: that it cannot be read is a reason to try the next address."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError):
        raise SourceRejected("not there") from None
    except OSError as problem:
        raise SourceRejected(f"cannot be read: {problem.strerror}") from problem


def check_room(folder: Path, needed: int) -> int:
    """The bytes free for `folder`. Raises UserError where they are too few."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise UserError(
            f"{folder}: too little room on the disk: {needed / 2**20:,.1f} MiB are needed, "
            f"{free / 2**20:,.1f} MiB are free. Nothing was written. Free some space and run it again."
        )
    return free


def check_limit(bytes: int, limit: int) -> None:
    if bytes > limit:
        raise SourceRejected(f"gives {bytes:,} bytes or more, expected at most {limit:,}")


@contextmanager
def scratch_folder(out: Path) -> Iterator[Path]:
    """A folder on the disk of `out` for what must not be found there yet."""
    with tempfile.TemporaryDirectory(dir=out, prefix=".", suffix=".part") as folder:
        yield Path(folder)


def sweep(out: Path) -> None:
    """Clear away what a killed run left under temporary names."""
    for part in out.glob("*.part"):
        shutil.rmtree(part) if part.is_dir() else part.unlink()


def say(line: str) -> None:
    """A line of progress, where the progress bars are."""
    print(line, file=sys.stderr, flush=True)
