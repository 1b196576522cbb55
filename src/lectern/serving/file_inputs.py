"""Read the model inputs in an image, a video or an array file, one chunk at a time."""

import mimetypes
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import TypeVar

import numpy as np

from lectern.errors import UserError
from lectern.serving.batching import Array
from lectern.serving.champions import Champion
from lectern.serving.deadline import check_current_deadline

MAX_CHUNK_BYTES = 64_000_000  # when a chunk has reached this size in bytes, the next item starts a new chunk

Item = TypeVar("Item")


def readable_suffixes(request_module: ModuleType) -> list[str]:
    """Return the suffixes of the files that a task reads. The task's FILE_READERS is optional."""
    return list(getattr(request_module, "FILE_READERS", {}))


def find_suffix(media_type: str, request_module: ModuleType) -> str | None:
    """Return the suffix of a media type, such as `.png` for `image/png`, or None if the task cannot read the type."""
    for suffix in readable_suffixes(request_module):
        if mimetypes.guess_type(f"file{suffix}")[0] == media_type:
            return str(suffix)
    return None


def accepted_media_types(request_module: ModuleType) -> list[str]:
    """Return the media types that a request body may have in addition to JSON."""
    media_types = (mimetypes.guess_type(f"file{suffix}")[0] for suffix in readable_suffixes(request_module))
    return sorted({media_type for media_type in media_types if media_type})


def read_chunks(path: Path, champion: Champion, max_megapixels: float, max_items: int) -> Generator[Array, None, None]:
    """Yield the items of a file, such as the frames of a video, in arrays of at most MAX_ROWS items.

    Raises UserError if the file is empty or has more than `max_items` items.
    """
    count = 0
    # Close the decoder here: the traceback of an exception would otherwise keep its memory for minutes.
    with closing(champion.model.read_file(path, max_megapixels)) as items:
        while chunk := take_chunk(items, champion.request_module.MAX_ROWS, lambda item: item.nbytes):
            count += len(chunk)
            if count > max_items:
                raise UserError(
                    f"The file has more than {max_items} items, which is the maximum. "
                    "Split the file, or use `lectern predict`."
                )
            yield stack_items(chunk)
    if not count:
        raise UserError("The file is empty.")


def take_chunk(items: Iterator[Item], max_items: int, item_bytes: Callable[[Item], int]) -> list[Item]:
    """Return the next items, at most `max_items` items or about MAX_CHUNK_BYTES bytes.

    The list is empty only if no item is left.
    """
    chunk: list[Item] = []
    chunk_bytes = 0
    for item in islice(items, max_items):
        check_current_deadline()
        chunk.append(item)
        chunk_bytes += item_bytes(item)
        if chunk_bytes > MAX_CHUNK_BYTES:
            break
    return chunk


def stack_items(items: list[Array]) -> Array:
    """Stack items into one array. Raises UserError if the shapes of the items differ."""
    shapes = {np.shape(item) for item in items}
    if len(shapes) > 1:
        raise UserError(f"All items of a file must have the same shape; found shapes {sorted(shapes)}.")
    return np.stack(items)
