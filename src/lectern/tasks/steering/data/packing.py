"""Frames, one at a time, to packed arrays on the disk: what is in memory does not grow with the recording."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType

import numpy as np
import pandas as pd

from lectern.tasks.steering.data.format.frames import Crop, shrink
from lectern.tasks.steering.data.format.shards import ShardFiles
from lectern.tasks.steering.data.progress import progress
from lectern.tasks.steering.data.readers.bad_rows import BadRows
from lectern.tasks.steering.data.splits import HELD_OUT

HEADER = 128  # bytes of an .npy file before the values, enough for any count of frames


class FrameFile:
    """An `.npy` of uint8 frames that grows frame by frame; its header, written last, tells how many there are."""

    def __init__(self, path: Path):
        self.path, self.count, self.shape = path, 0, None
        self.file = open(path, "wb")  # noqa: SIM115  (closed by __exit__)
        self.file.write(b"\0" * HEADER)

    def add(self, frame: np.ndarray) -> None:
        self.shape = self.shape or frame.shape
        self.file.write(np.ascontiguousarray(frame))
        self.count += 1

    def __enter__(self) -> "FrameFile":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        shape = (self.count, *(self.shape or (0, 0, 3)))
        text = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}"
        length = HEADER - 10
        self.file.seek(0)
        self.file.write(b"\x93NUMPY\x01\x00" + length.to_bytes(2, "little") + text.ljust(length - 1).encode() + b"\n")
        self.file.close()


@contextmanager
def frame_files(out: Path, shard_megabytes: int | float | None = None) -> Iterator[dict[str, FrameFile | ShardFiles]]:
    """A file for the frames of each split; with `shard_megabytes`, training's are several."""
    files: dict = {split: FrameFile(out / f"{split}_frames.npy") for split in HELD_OUT}
    name = out / "train_frames"
    files["train"] = ShardFiles(name, shard_megabytes) if shard_megabytes else FrameFile(name.with_suffix(".npy"))
    with ExitStack() as stack:
        yield {split: stack.enter_context(file) for split, file in files.items()}


def pack(
    frames: Iterator[np.ndarray | str],
    table: pd.DataFrame,
    files: Mapping[str, FrameFile | ShardFiles],
    crop: Crop,
    faults: BadRows,
    size: tuple[int, ...] | None = None,
) -> pd.DataFrame:
    """Add the frames of the rows of `table` to the files of their splits; returns the rows whose frames could be used.

    Training and validation frames are packed as the network takes them, test frames raw. All have to be of one size,
    that of the first one where none is given.
    """
    kept = []
    frames = progress(frames, "packing frames", len(table), "frame")
    for (index, split, place), frame in zip(table[["split", "place"]].itertuples(), frames, strict=True):
        problem = find_problem(frame, size)
        if problem:
            faults.found(problem[0], place, problem[1])
            continue
        size = frame.shape
        files[split].add(frame if split == "test" else shrink(frame, crop))
        kept.append(index)
    return table.loc[kept]


def find_problem(frame: np.ndarray | str, shape: tuple[int, ...] | None) -> tuple[str, str] | None:
    """Why a frame cannot be used, as a kind and a detail; None where it can."""
    if isinstance(frame, str):
        return "the frame is damaged", frame
    if shape is not None and frame.shape != shape:
        return "the frame has another size", f"{frame.shape[:2]} after {shape[:2]}"
    return None
