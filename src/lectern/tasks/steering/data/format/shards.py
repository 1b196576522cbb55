"""Store frames in shards, which are Arrow files of some megabytes, and read single frames by their index.

A process memory-maps only the shards from which it reads frames.
"""

from functools import lru_cache
from pathlib import Path
from types import TracebackType

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from lectern.errors import UserError

MAX_OPEN = 64  # maximum number of memory-mapped shards per process; `shard_order` needs fewer shards at a time


class ShardWriter:
    """A writer that stores uint8 frames in `<name>-00000.arrow`, `<name>-00001.arrow`, and so on.

    The writer keeps the frames of only one shard in memory.
    """

    def __init__(self, name: Path, megabytes: int | float):
        self.name, self.max_bytes = name, megabytes * 1e6
        self.frames: list[np.ndarray] = []
        self.sizes: list[int] = []  # number of frames in each finished shard

    def add(self, frame: np.ndarray) -> None:
        self.frames.append(frame)
        if (len(self.frames) + 1) * frame.nbytes > self.max_bytes:
            self.write_shard()

    def write_shard(self) -> None:
        batch = pa.record_batch({"frame": pa.FixedShapeTensorArray.from_numpy_ndarray(np.stack(self.frames))})
        path = shard_path(self.name, len(self.sizes))
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, batch.schema) as writer:
            writer.write_batch(batch)
        self.sizes.append(len(self.frames))
        self.frames = []

    def __enter__(self) -> "ShardWriter":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.frames:
            self.write_shard()


class ShardedFrames:
    """A memory-mapped tensor with the frames of all shards `<name>-00000.arrow`, `<name>-00001.arrow`, and so on.

    The index of a frame is its row number.
    """

    dtype = torch.uint8

    def __init__(self, name: Path, sizes: list[int]):
        """Memory-map the shards.

        `sizes` contains the number of frames of each shard. Raises UserError if a file is missing.
        """
        self.paths = [shard_path(name, number) for number in range(len(sizes))]
        for path in self.paths:
            if not path.is_file():
                raise UserError(
                    f"{path} is missing; {len(sizes)} shards are expected. Run `dvc checkout {name.parent}`."
                )
        self.ends = np.cumsum(sizes)
        self.open = lru_cache(MAX_OPEN)(lambda shard: open_shard(self.paths[shard]))
        self.shape = open_shard(self.paths[0]).shape[1:]

    def __len__(self) -> int:
        return int(self.ends[-1])

    def shards_of(self, rows: np.ndarray) -> np.ndarray:
        """Return for each row the index of the shard that contains the row."""
        return np.searchsorted(self.ends, rows, side="right")

    def __getitem__(self, index: Tensor | slice) -> Tensor:
        """Return the frames at the int64 indices `index` (...). The frames are uint8 (..., height, width, 3)."""
        rows = torch.arange(len(self))[index].numpy() if isinstance(index, slice) else index.numpy()
        shards = self.shards_of(rows)
        frames = np.empty((*rows.shape, *self.shape), np.uint8)
        for shard in np.unique(shards):
            in_shard, stored = shards == shard, self.open(shard)
            frames[in_shard] = stored[rows[in_shard] - (self.ends[shard] - len(stored))]
        return torch.from_numpy(frames)


def open_shard(path: Path) -> np.ndarray:
    """Return the memory-mapped frames of a shard, uint8 (n, height, width, 3).

    Raises UserError if the file is truncated or not an Arrow file.
    """
    try:
        frames: np.ndarray = pa.ipc.open_file(pa.memory_map(str(path))).get_batch(0)["frame"].to_numpy_ndarray()
    except pa.ArrowInvalid as error:
        raise UserError(
            f"{path} is not a complete Arrow file ({error}). Run `dvc checkout --force {path.parent}`."
        ) from error
    return frames


def shard_path(name: Path, number: int) -> Path:
    return name.with_name(f"{name.name}-{number:05}.arrow")
