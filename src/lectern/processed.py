"""The folder of a data set made ready: packed splits, and `facts.json`, written last."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from lectern.errors import UserError
from lectern.unfinished import unfinished_file

Facts = dict[str, Any]


def write_facts(out: Path, facts: Facts) -> None:
    """Write `facts.json` with the digest of every packed file; finding it means that preprocessing finished."""
    files = {path.name: file_digest(path) for path in sorted(out.iterdir()) if path.name != "facts.json"}
    write_json(out / "facts.json", {**facts, "files": files})


def read_facts(processed: Path) -> Facts:
    """The facts of a processed data set. Raises UserError where preprocessing has not finished."""
    path = processed / "facts.json"
    if not path.is_file():
        raise UserError(
            f"{path} is not there, so this data set has not been preprocessed. "
            f"Run: dvc repro preprocess@{processed.name}"
        )
    return json.loads(path.read_text())


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


def write_json(path: Path, value: Any) -> None:
    """JSON whose bytes depend on the value only, under its final name only when whole."""
    text = json.dumps(value, indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n"
    with unfinished_file(path) as part:
        part.write_text(text)
