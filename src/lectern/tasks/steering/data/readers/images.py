"""Decode image files with several threads, and yield the images in order."""

import io
import os
import zipfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import pandas as pd
from PIL import Image

from lectern.errors import UserError
from lectern.tasks.steering.data.readers.bad_rows import BadRows
from lectern.tasks.steering.data.readers.files import RecordingFiles
from lectern.tasks.steering.data.readers.recording import DecodedFrame
from lectern.user_files.displayed_image import displayed_image

LOOKAHEAD = 32  # maximum number of frames that are decoded before they are needed

Item = TypeVar("Item")
Result = TypeVar("Result")


def decode_image(data: bytes) -> DecodedFrame:
    """Return the pixels that a viewer shows, uint8 (height, width, 3) in RGB.

    Return a message if the image cannot be decoded.
    """
    try:
        with Image.open(io.BytesIO(data)) as image:
            return np.asarray(displayed_image(image).convert("RGB"))
    except (UserError, OSError, SyntaxError, ValueError) as error:  # Pillow raises SyntaxError for a broken PNG.
        return f"the image cannot be decoded ({error})"


def decode_files(files: RecordingFiles, names: Iterable[str]) -> Iterator[DecodedFrame]:
    """Yield the decoded image in each file, in the order of `names`.

    Several threads decode at the same time, which is faster because Pillow releases Python's interpreter lock.
    """

    def read_and_decode(name: str) -> DecodedFrame:
        try:
            return decode_image(files.read(name))
        except (OSError, zipfile.BadZipFile) as error:
            return f"the file cannot be read ({error})"

    yield from map_in_threads(read_and_decode, names)


def map_in_threads(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Yield `function(item)` for each item, in order, computed by one thread per core.

    At most LOOKAHEAD results are computed before they are needed.
    """
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        pending: deque[Future[Result]] = deque()
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) > LOOKAHEAD:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def drop_missing(table: pd.DataFrame, files: RecordingFiles, bad_rows: BadRows) -> pd.DataFrame:
    """Return the rows whose image file exists. Rows without an image file are reported to `bad_rows`."""
    exists = table["image"].isin(files.names)
    for row in table[~exists].itertuples():
        bad_rows.report("the log names a missing frame", row.place, row.image)
    return table[exists]
