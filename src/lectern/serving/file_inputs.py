"""A file or a folder to the inputs of a model, a few at a time: what a request's body and the batch command share."""

import mimetypes
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from lectern.errors import UserError
from lectern.serving.champions import Champion

HELD = 64_000_000  # bytes of inputs beyond which no more are put together


def suffix_of(media_type: str, request_format: ModuleType) -> str | None:
    """`.png` for `image/png`, where the room can read such files."""
    return next(
        (suffix for suffix in request_format.FILES if mimetypes.guess_type(f"x{suffix}")[0] == media_type), None
    )


def media_types(request_format: ModuleType) -> list[str]:
    """What a body may be, beside JSON."""
    return sorted({kind for suffix in request_format.FILES if (kind := mimetypes.guess_type(f"x{suffix}")[0])})


def read_parts(path: Path, champion: Champion, megapixels: float, most: int | None = None) -> Iterator[np.ndarray]:
    """The items of a file in arrays of a few rows. Raises UserError beyond `most` items, and where there is none."""
    request_format, count = champion.request_format, 0
    items = request_format.FILES[path.suffix.lower()](path, champion.module, megapixels)
    while some := take(items, request_format.ROWS):
        count += len(some)
        if most is not None and count > most:
            raise UserError(f"The file holds more than {most} items; send it in parts, or use `lectern predict`.")
        yield stack(some)
    if not count:
        raise UserError("The file holds nothing to answer.")


def take(items: Iterator[Any], most: int, size: Callable[[Any], int] = lambda item: item.nbytes) -> list[Any]:
    """The next `most` items, or fewer where they are large; at least one while there is one."""
    taken, held = [], 0
    for item in islice(items, most):
        taken.append(item)
        held += size(item)
        if held > HELD:
            break
    return taken


def stack(items: list[Any]) -> np.ndarray:
    """Items of one shape as the rows of an array. Raises UserError where they are of several."""
    shapes = {np.shape(item) for item in items}
    if len(shapes) > 1:
        raise UserError(f"All items of a file must have one shape; there are {sorted(shapes)}.")
    return np.stack(items)
