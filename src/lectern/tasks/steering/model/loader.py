"""Packed frames to batches of (inputs, targets, share): stretches of a drive, each with the frames before it."""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from lectern.artifacts.dataset import Facts, read_facts
from lectern.errors import UserError
from lectern.tasks.steering.data.format.shards import ShardedFrames
from lectern.tasks.steering.model.shard_order import in_lanes
from lectern.training.distributed import rank_and_world_size
from lectern.training.loader import InMemoryLoader

Frames = Tensor | ShardedFrames


class Stretches(InMemoryLoader):
    """Stretches of `stretch` frames in a row, and before each the `window - 1` frames that its first one needs.

    A batch holds inputs (B, window - 1 + stretch, ...) and targets of the same length, so that all overlapping
    windows of a stretch come out of one pass over its frames. Before the first frame of a run stands that frame
    itself: a window never crosses a break. The last stretch of a run ends with it, so a few frames come twice.
    """

    def __init__(self, inputs: Frames, targets: Tensor, runs: np.ndarray, window: int, stretch: int, **order):
        starts, firsts = cut(runs, stretch)
        super().__init__(torch.from_numpy(starts), torch.from_numpy(firsts), **order)
        self.inputs, self.targets, self.window, self.stretch = inputs, targets, window, stretch

    def __iter__(self) -> Iterator[tuple[Tensor | float, ...]]:
        for starts, firsts, loss_weight in super().__iter__():
            steps = torch.arange(1 - self.window, self.stretch)
            frames = (starts[:, None] + steps).maximum(firsts[:, None])
            yield self.inputs[frames], self.targets[frames], loss_weight


class ShardedStretches(Stretches):
    """Stretches of frames in shards, in an order in which every process reads shards of its own.

    A stretch counts with the shard in which it starts; a few of its frames, and of those before it, may be next door.
    """

    def __init__(self, inputs: ShardedFrames, *more, **order):
        super().__init__(inputs, *more, **order)
        self.shards = inputs.shards_of(self.tensors[0].numpy())

    def order(self) -> Tensor:
        random = np.random.default_rng([self.seed, self.epoch])
        return torch.from_numpy(in_lanes(self.shards, self.batch_size, rank_and_world_size()[1], random))


def cut(runs: np.ndarray, stretch: int) -> tuple[np.ndarray, np.ndarray]:
    """Where stretches start, and where the run of each starts, as rows.

    >>> cut(np.array([0, 0, 0, 0, 0, 1, 1, 2]), 2)
    (array([0, 2, 3, 5]), array([0, 0, 0, 5]))
    """
    _, firsts, sizes = np.unique(runs, return_index=True, return_counts=True)
    starts, owners = [], []
    for first, size in zip(firsts, sizes, strict=True):
        if size >= stretch:
            own = np.minimum(np.arange(0, size, stretch), size - stretch) + first
            starts.append(own)
            owners.append(np.full_like(own, first))
    if not starts:
        raise UserError(
            f"batches.stretch is {stretch}, and no run of the drive has as many frames: the longest has "
            f"{sizes.max(initial=0)}. Choose a shorter stretch."
        )
    return np.concatenate(starts), np.concatenate(owners)


def load(processed: Path, split: str, seed: int, batch_size: int, window: int = 1, stretch: int = 1) -> Stretches:
    """A split's stretches: uint8 frames (B, length, 66, 200, 3) and float32 targets (B, length, targets).

    The targets are those of `facts["targets"]`, in their own units. The frames stay on the disk, memory-mapped: the
    system keeps what fits. The training split comes in a new order each epoch; where preprocessing has put it into
    shards, in one that goes through a few of them at a time.
    """
    facts = read_facts(processed)
    table = pd.read_parquet(processed / f"{split}.parquet")
    targets = torch.tensor(table[facts["targets"]].to_numpy(np.float32))
    runs = table["run"].to_numpy()
    tell_of_short(runs, stretch, split)
    order = {"batch_size": batch_size, "shuffle": split == "train", "seed": seed}
    kind, frames = open_frames(processed, split, facts)
    return kind(frames, targets, runs, window, stretch, **order)


def open_frames(processed: Path, split: str, facts: Facts) -> tuple[type[Stretches], Frames]:
    """A split's frames, and the stretches that fit how they are kept."""
    name = processed / f"{split}_frames"
    if split in facts.get("shards", {}):
        return ShardedStretches, ShardedFrames(name, facts["shards"][split])
    # copy on write: torch wants memory it may write to, and nobody does
    return Stretches, torch.from_numpy(np.load(name.with_suffix(".npy"), mmap_mode="c"))


def tell_of_short(runs: np.ndarray, stretch: int, split: str) -> None:
    """A line where runs are too short for a stretch, and so not learned from."""
    sizes = np.unique(runs, return_counts=True)[1]
    if lost := sizes[sizes < stretch].sum():
        print(f"{split}: {lost} frames in runs shorter than batches.stretch={stretch} are left out", file=sys.stderr)
