"""Frames, one at a time, to packed arrays on the disk: what is in memory does not grow with the recording."""

from pathlib import Path
from types import TracebackType

import numpy as np
import pandas as pd

from lectern.steering.frames import Crop, shrink
from lectern.steering.progress import progress
from lectern.steering.readers.faults import Faults
from lectern.steering.readers.recording import Recording

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


def pack(recording: Recording, table: pd.DataFrame, out: Path, crop: Crop, faults: Faults) -> pd.DataFrame:
    """Write `<split>_frames.npy` for the rows of `table`; returns those rows whose frames could be used.

    Training and validation frames are packed as the network takes them, test frames raw.
    """
    kept = []
    with (
        FrameFile(out / "train_frames.npy") as train,
        FrameFile(out / "validation_frames.npy") as validation,
        FrameFile(out / "test_frames.npy") as test,
    ):
        packed = {"train": train, "validation": validation, "test": test}
        frames = progress(recording.frames(table), "packing frames", len(table), "frame")
        shape = None
        for (index, split, place), frame in zip(table[["split", "place"]].itertuples(), frames, strict=True):
            problem = find_problem(frame, shape)
            if problem:
                faults.found(problem[0], place, problem[1])
                continue
            shape = frame.shape
            packed[split].add(frame if split == "test" else shrink(frame, crop))
            kept.append(index)
    return table.loc[kept]


def find_problem(frame: np.ndarray | str, shape: tuple[int, ...] | None) -> tuple[str, str] | None:
    """Why a frame cannot be used, as a kind and a detail; None where it can."""
    if isinstance(frame, str):
        return "the frame is damaged", frame
    if shape is not None and frame.shape != shape:
        return "the frame has another size", f"{frame.shape[:2]} after {shape[:2]}"
    return None
