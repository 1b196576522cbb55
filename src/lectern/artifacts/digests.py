"""Compute SHA-256 digests of files, arrays and texts."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt


def content_digest(*parts: npt.NDArray[Any] | Iterable[str]) -> str:
    """Return a single digest of several arrays and texts.

    Two scores may be compared if they were measured on raw test data with the same digest.
    The digest includes the type and the shape of each array, and each line of the texts.
    """
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            digest.update(f"{part.dtype.str} {part.shape}\n".encode())
            digest.update(np.ascontiguousarray(part).data)
        else:
            digest.update("".join(f"{text}\n" for text in part).encode())
    return digest.hexdigest()


def file_digest(path: Path) -> str:
    """Return the SHA-256 of the content of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
