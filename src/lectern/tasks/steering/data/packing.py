"""Write frames to arrays on disk one at a time. The memory use does not depend on the length of the recording."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType

import numpy as np
import pandas as pd

from lectern.tasks.steering.data.format.frames import Crop, shrink
from lectern.tasks.steering.data.format.shards import ShardWriter
from lectern.tasks.steering.data.progress import progress
from lectern.tasks.steering.data.readers.bad_rows import BadRows
from lectern.tasks.steering.data.readers.recording import DecodedFrame
from lectern.tasks.steering.data.splits import HELD_OUT

HEADER_BYTES = 128  # size of the .npy header in bytes, with space for any number of frames


class FrameWriter:
    """A writer that appends uint8 frames to an `.npy` file.

    The header of the file is written last, because it contains the number of frames.
    """

    def __init__(self, path: Path):
        self.path, self.count = path, 0
        self.shape: tuple[int, ...] | None = None
        self.file = open(path, "wb")  # noqa: SIM115  (closed by __exit__)
        self.file.write(b"\0" * HEADER_BYTES)

    def add(self, frame: np.ndarray) -> None:
        self.shape = self.shape or frame.shape
        self.file.write(np.ascontiguousarray(frame).data)
        self.count += 1

    def __enter__(self) -> "FrameWriter":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        shape = (self.count, *(self.shape or (0, 0, 3)))
        text = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}"
        length = HEADER_BYTES - 10
        self.file.seek(0)
        self.file.write(b"\x93NUMPY\x01\x00" + length.to_bytes(2, "little") + text.ljust(length - 1).encode() + b"\n")
        self.file.close()


Writers = Mapping[str, FrameWriter | ShardWriter]


@contextmanager
def open_writers(out: Path, shard_megabytes: int | float | None = None) -> Iterator[Writers]:
    """Open a writer for the frames of each split.

    If `shard_megabytes` is given, the training frames are written to shards.
    """
    writers: dict[str, FrameWriter | ShardWriter] = {
        split: FrameWriter(out / f"{split}_frames.npy") for split in HELD_OUT
    }
    name = out / "train_frames"
    writers["train"] = ShardWriter(name, shard_megabytes) if shard_megabytes else FrameWriter(name.with_suffix(".npy"))
    with ExitStack() as stack:
        for writer in writers.values():
            stack.enter_context(writer)
        yield writers


def pack_frames(
    frames: Iterable[DecodedFrame],
    table: pd.DataFrame,
    writers: Writers,
    crop: Crop,
    bad_rows: BadRows,
    size: tuple[int, ...] | None = None,
) -> pd.DataFrame:
    """Write the frame of each row in `table` with the writer of the row's split. Return the rows with usable frames.

    Training and validation frames are cropped and resized; test frames stay raw. All frames must have the shape
    `size`, or the shape of the first usable frame if `size` is None.
    """
    kept = []
    frames = progress(frames, "packing frames", len(table), "frame")
    for (index, split, place), frame in zip(table[["split", "place"]].itertuples(), frames, strict=True):
        if isinstance(frame, str):
            bad_rows.report("the frame is damaged", place, frame)
        elif size is not None and frame.shape != size:
            bad_rows.report("the frame has a different size", place, f"{frame.shape[:2]}, expected {size[:2]}")
        else:
            size = frame.shape
            writers[split].add(frame if split == "test" else shrink(frame, crop))
            kept.append(index)
    return table.loc[kept]
