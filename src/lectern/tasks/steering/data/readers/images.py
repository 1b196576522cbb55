"""Names of image files to decoded frames, in order, some of them ahead on other threads."""

import io
import os
import zipfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
from PIL import Image

from lectern.tasks.steering.data.readers.bad_rows import BadRows
from lectern.tasks.steering.data.readers.files import Files

AHEAD = 32  # frames decoded before they are asked for: what is held in memory at most


def decode(data: bytes) -> np.ndarray | str:
    """A JPEG or PNG to uint8 (height, width, 3) in RGB, or to what is wrong with it."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            return np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError) as error:  # Pillow's own for PNGs is a SyntaxError
        return f"the image cannot be decoded ({error})"


def decode_files(files: Files, names: Iterable[str]) -> Iterator[np.ndarray | str]:
    """Each file decoded. Pillow lets go of the interpreter while it decodes, so threads help."""

    def read_and_decode(name: str) -> np.ndarray | str:
        try:
            return decode(files.read(name))
        except (OSError, zipfile.BadZipFile) as error:
            return f"the file cannot be read ({error})"

    yield from work_ahead(read_and_decode, names)


def work_ahead(work: Callable, items: Iterable) -> Iterator:
    """`map(work, items)`, up to AHEAD of them at a time on as many threads as there are cores."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        waiting: deque = deque()
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def drop_missing(table: pd.DataFrame, files: Files, faults: BadRows) -> pd.DataFrame:
    """The rows whose file in the column `image` is there."""
    there = table["image"].isin(files.names)
    for row in table[~there].itertuples():
        faults.found("the log names a frame that is not there", row.place, row.image)
    return table[there]
