"""Check the size and SHA-256 of raw files against the pinned values, and check the free disk space."""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lectern.artifacts.digests import file_digest
from lectern.errors import UserError


class SourceRejected(Exception):
    """Raised if a download from one address fails or has unexpected content. The caller then tries the next address."""


def check_pinned(path: Path, sha256: str, bytes: int) -> None:
    """Raise SourceRejected if the file cannot be read, or if its size or SHA-256 differs from the pinned values."""
    with reject_unreadable():
        size, digest = path.stat().st_size, file_digest(path)
    if (size, digest) != (bytes, sha256):
        raise SourceRejected(
            f"altered or truncated: found {size:,} bytes with sha256 {digest}, "
            f"expected {bytes:,} bytes with sha256 {sha256}"
        )


@contextmanager
def reject_unreadable() -> Iterator[None]:
    """Convert OSError to SourceRejected, so that the caller tries the next address."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError):
        raise SourceRejected("file not found") from None
    except OSError as error:
        raise SourceRejected(f"cannot be read: {error.strerror}") from error


def check_disk_space(folder: Path, needed: int) -> int:
    """Return the number of free bytes on the disk of `folder`.

    Raise UserError if fewer than `needed` bytes are free.
    """
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise UserError(
            f"{folder}: not enough disk space: {needed / 2**20:,.1f} MiB are needed, {free / 2**20:,.1f} MiB are free. "
            "Nothing was written. Free some disk space and run the command again."
        )
    return free


def check_size_limit(bytes: int, limit: int) -> None:
    """Raise SourceRejected if the size `bytes` is above the limit."""
    if bytes > limit:
        raise SourceRejected(f"too large: found {bytes:,} bytes or more, expected at most {limit:,}")


def print_progress(line: str) -> None:
    """Print a line to stderr. The progress bars of tqdm are also written to stderr."""
    print(line, file=sys.stderr, flush=True)
