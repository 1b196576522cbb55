"""Frames to Arrow files of some megabytes each, and back: a process opens those whose frames it is asked for."""

from functools import lru_cache
from pathlib import Path
from types import TracebackType

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from lectern.errors import UserError

OPEN = 64  # shards that stay mapped: what lanes.in_lanes has one process go through at once, and some more


class ShardFiles:
    """`<name>-00000.arrow`, ... of uint8 frames, filled one after the other; one file's worth is in memory."""

    def __init__(self, name: Path, megabytes: int | float):
        self.name, self.bytes = name, megabytes * 1e6
        self.frames: list[np.ndarray] = []
        self.sizes: list[int] = []

    def add(self, frame: np.ndarray) -> None:
        self.frames.append(frame)
        if (len(self.frames) + 1) * frame.nbytes > self.bytes:
            self.write()

    def write(self) -> None:
        batch = pa.record_batch({"frame": pa.FixedShapeTensorArray.from_numpy_ndarray(np.stack(self.frames))})
        path = path_of(self.name, len(self.sizes))
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, batch.schema) as writer:
            writer.write_batch(batch)
        self.sizes.append(len(self.frames))
        self.frames = []

    def __enter__(self) -> "ShardFiles":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.frames:
            self.write()


class ShardedFrames:
    """The frames of `<name>-00000.arrow`, ... as one tensor that is asked by index and read from the disk, mapped."""

    dtype = torch.uint8

    def __init__(self, name: Path, sizes: list[int]):
        """`sizes` says how many frames each file holds. Raises UserError where a file is missing."""
        self.paths = [path_of(name, number) for number in range(len(sizes))]
        for path in self.paths:
            if not path.is_file():
                raise UserError(f"{path} is missing, one of {len(sizes)} shards. Run: dvc checkout {name.parent}")
        self.ends = np.cumsum(sizes)
        self.open = lru_cache(OPEN)(lambda shard: read(self.paths[shard]))
        self.shape = read(self.paths[0]).shape[1:]

    def __len__(self) -> int:
        return int(self.ends[-1])

    def shards_of(self, rows: np.ndarray) -> np.ndarray:
        """The number of the file that holds each row."""
        return np.searchsorted(self.ends, rows, side="right")

    def __getitem__(self, rows: Tensor | slice) -> Tensor:
        """Rows, int64 of any shape, to their frames: uint8 (..., height, width, 3)."""
        rows = torch.arange(len(self))[rows].numpy() if isinstance(rows, slice) else rows.numpy()
        shards = self.shards_of(rows)
        frames = np.empty((*rows.shape, *self.shape), np.uint8)
        for shard in np.unique(shards):
            here, stored = shards == shard, self.open(shard)
            frames[here] = stored[rows[here] - (self.ends[shard] - len(stored))]
        return torch.from_numpy(frames)


def read(path: Path) -> np.ndarray:
    """A shard's frames, uint8 (n, height, width, 3), where they lie: nothing is read before it is looked at."""
    try:
        return pa.ipc.open_file(pa.memory_map(str(path))).get_batch(0)["frame"].to_numpy_ndarray()
    except pa.ArrowInvalid as error:
        raise UserError(f"{path} is no whole Arrow file ({error}). Run: dvc checkout --force {path.parent}") from error


def path_of(name: Path, number: int) -> Path:
    return name.with_name(f"{name.name}-{number:05}.arrow")
