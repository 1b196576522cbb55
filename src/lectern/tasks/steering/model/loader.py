"""Load packed frames as batches of sequences.

A sequence also contains the earlier frames that the first window of the sequence needs.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from lectern.artifacts.dataset import Facts, read_facts
from lectern.config import PositiveInt
from lectern.errors import UserError
from lectern.tasks.steering.data.format.shards import ShardedFrames
from lectern.tasks.steering.model.shard_order import shuffle_by_shard
from lectern.training.distributed import rank_and_world_size
from lectern.training.loader import InMemoryLoader

Frames = Tensor | ShardedFrames


class SequenceLoader(InMemoryLoader):
    """A loader of sequences of `sequence_length` consecutive frames and the `window - 1` frames before them.

    A batch is (inputs, targets, loss_weight) with inputs (B, window - 1 + sequence_length, ...) and targets of the same
    length. One forward pass over the frames of a sequence therefore computes the outputs of all its windows. A window
    never crosses a break in the recording. At the start of an uninterrupted run of frames, the first frame is repeated
    to fill the window. The last sequence of a run ends with the last frame of the run, so a few frames appear twice per
    epoch.
    """

    item_name = "sequences that start at the frames"

    def __init__(
        self, inputs: Frames, targets: Tensor, runs: np.ndarray, window: int, sequence_length: int, **order: Any
    ):
        starts, run_starts = find_sequences(runs, sequence_length)
        super().__init__(torch.from_numpy(starts), torch.from_numpy(run_starts), **order)
        self.inputs, self.targets, self.window, self.sequence_length = inputs, targets, window, sequence_length

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        for starts, run_starts, loss_weight in super().__iter__():
            assert isinstance(starts, Tensor) and isinstance(run_starts, Tensor)
            self.items = starts
            steps = torch.arange(1 - self.window, self.sequence_length)
            frames = (starts[:, None] + steps).maximum(run_starts[:, None])
            yield self.inputs[frames], self.targets[frames], loss_weight


class ShardedSequenceLoader(SequenceLoader):
    """A loader of sequences of sharded frames.

    The order of the sequences lets each process read only some of the shards. A sequence belongs to the shard in which
    it starts. A few frames of the sequence can be in the next or the previous shard.
    """

    def __init__(self, inputs: ShardedFrames, *arguments: Any, **order: Any):
        super().__init__(inputs, *arguments, **order)
        self.shards = inputs.shards_of(self.tensors[0].numpy())

    def order(self) -> Tensor:
        random = np.random.default_rng([self.seed, self.epoch])
        _, world_size = rank_and_world_size()
        return torch.from_numpy(shuffle_by_shard(self.shards, self.batch_size, world_size, random))


def find_sequences(runs: np.ndarray, sequence_length: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the first row of each sequence, and the first row of the run that contains the sequence.

    Raises UserError if every run is shorter than `sequence_length`.

    >>> find_sequences(np.array([0, 0, 0, 0, 0, 1, 1, 2]), 2)
    (array([0, 2, 3, 5]), array([0, 0, 0, 5]))
    """
    _, firsts, sizes = np.unique(runs, return_index=True, return_counts=True)
    starts, run_starts = [], []
    for first, size in zip(firsts, sizes, strict=True):
        if size >= sequence_length:
            in_run = np.minimum(np.arange(0, size, sequence_length), size - sequence_length) + first
            starts.append(in_run)
            run_starts.append(np.full_like(in_run, first))
    if not starts:
        raise UserError(
            f"batches.sequence_length is {sequence_length}, but the longest run has {sizes.max(initial=0)} frames. "
            "Choose a smaller value."
        )
    return np.concatenate(starts), np.concatenate(run_starts)


def load(
    processed: Path,
    split: str,
    seed: int,
    batch_size: PositiveInt,
    window: PositiveInt = 1,
    sequence_length: PositiveInt = 1,
) -> SequenceLoader:
    """Load the sequences of a split: uint8 frames (B, length, 66, 200, 3) and float32 targets (B, length, targets).

    `facts["targets"]` lists the targets. Each target has the unit of the recording. The frames are memory-mapped and
    stay on disk. The training split is shuffled again in each epoch. If the frames of the split are in shards, only the
    sequences of a few shards are shuffled together.
    """
    facts = read_facts(processed)
    table = pd.read_parquet(processed / f"{split}.parquet")
    targets = torch.tensor(table[facts["targets"]].to_numpy(np.float32))
    runs = table["run"].to_numpy()
    warn_of_short_runs(runs, sequence_length, split)
    order = {"batch_size": batch_size, "shuffle": split == "train", "seed": seed}
    frames = open_frames(processed, split, facts)
    if isinstance(frames, ShardedFrames):
        return ShardedSequenceLoader(frames, targets, runs, window, sequence_length, **order)
    return SequenceLoader(frames, targets, runs, window, sequence_length, **order)


def open_frames(processed: Path, split: str, facts: Facts) -> Frames:
    """Memory-map the frames of a split."""
    name = processed / f"{split}_frames"
    if split in facts.get("shards", {}):
        return ShardedFrames(name, facts["shards"][split])
    # "c" maps the file copy-on-write, because torch requires writable memory. No code writes to the mapped memory.
    return torch.from_numpy(np.load(name.with_suffix(".npy"), mmap_mode="c"))


def warn_of_short_runs(runs: np.ndarray, sequence_length: int, split: str) -> None:
    """Print the number of frames that are not used because their runs are shorter than a sequence."""
    sizes = np.unique(runs, return_counts=True)[1]
    if unused := sizes[sizes < sequence_length].sum():
        print(
            f"{split}: {unused} frames in runs shorter than batches.sequence_length={sequence_length} are not used",
            file=sys.stderr,
        )
