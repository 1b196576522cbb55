"""A final name to a temporary one beside it: nothing half-written is ever found under the final one."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """A file that takes the place of `path` if the block ends well, and is gone if not."""
    part = path.with_name(f"{path.name}.part")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def atomic_directory(path: Path) -> Iterator[Path]:
    """A folder of the same name elsewhere that takes the place of `path` if the block ends well, and is gone if not."""
    scratch = path.parent / f".{path.name}.part"
    shutil.rmtree(scratch, ignore_errors=True)  # of a killed run
    (scratch / path.name).mkdir(parents=True)
    try:
        yield scratch / path.name
        shutil.rmtree(path, ignore_errors=True)
        os.replace(scratch / path.name, path)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def write_json(path: Path, value: Any) -> None:
    """JSON whose bytes depend on the value only, under its final name only when whole."""
    text = json.dumps(value, indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n"
    with atomic_file(path) as part:
        part.write_text(text)
