"""TODO: lectern.artifacts.digests."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np


def content_digest(*parts: np.ndarray | Iterable[str]) -> str:
    """A digest of what the parts say, as for the raw test data: scores compare where it is the same.

    An array counts with its type and shape, texts line by line.
    """
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            digest.update(f"{part.dtype.str} {part.shape}\n".encode())
            digest.update(np.ascontiguousarray(part))
        else:
            digest.update("".join(f"{text}\n" for text in part).encode())
    return digest.hexdigest()


def file_digest(path: Path) -> str:
    """The sha256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
