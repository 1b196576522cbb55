"""Load batches of sentence pairs. A batch contains pairs of similar length and has a limited number of tokens."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from lectern.config import PositiveInt
from lectern.errors import UserError
from lectern.tasks.translation.data.format.vocabulary import PAD
from lectern.training.distributed import rank_and_world_size
from lectern.training.loader import ResumableLoader

Batch = tuple[Tensor, Tensor, float]  # source (B, S), target (B, T), weight of this rank's loss


def load(processed: Path, split: str, seed: int, tokens: PositiveInt, round_to: PositiveInt = 2) -> "PairLoader":
    """Load a split.

    The training split is shuffled again in each epoch. Splits other than the training split are not shuffled.
    """
    pairs = pd.read_parquet(processed / f"{split}.parquet", columns=["source_ids", "target_ids"])
    source, target = (PackedSequences(list(pairs[side])) for side in pairs.columns)
    return PairLoader(source, target, tokens, round_to, shuffle=split == "train", seed=seed)


class PackedSequences:
    """Sequences of ids with different lengths, stored one after the other in one array."""

    def __init__(self, sequences: Sequence[Sequence[int] | np.ndarray]):
        self.lengths = np.array([len(ids) for ids in sequences])
        self.starts = np.cumsum(self.lengths) - self.lengths
        self.ids = np.concatenate(sequences).astype(np.int64)

    def pad(self, rows: np.ndarray, length: int) -> Tensor:
        """Return the selected sequences, padded at the end, as int64 (B, length)."""
        column = np.arange(length)
        is_token = column < self.lengths[rows, None]
        index = np.where(is_token, self.starts[rows, None] + column, 0)
        return torch.from_numpy(np.where(is_token, self.ids[index], PAD))


class PairLoader(ResumableLoader):
    """A loader that returns each sentence pair once per epoch, in an order that depends only on (seed, epoch).

    `tokens` is the maximum number of tokens of a global batch. The number of tokens includes source tokens, target
    tokens and padding. Lengths are rounded up to a multiple of `round_to`, so that only a few different shapes occur.
    The order of pairs with the same rounded lengths is random, and so is the order of the batches. Every epoch has the
    same number of batches, because the lengths do not change. Each rank gets a part of every global batch. The last
    item of a batch is the weight of this rank's loss: world size * (target tokens of this rank) / (target tokens of the
    global batch).
    """

    item_name = "pairs"

    def __init__(
        self, source: PackedSequences, target: PackedSequences, tokens: int, round_to: int, shuffle: bool, seed: int
    ):
        super().__init__(pairs=len(target.lengths), tokens=tokens, seed=seed)
        self.source, self.target = source, target
        self.shuffle, self.seed = shuffle, seed
        self.predicted = target.lengths - 1  # number of tokens to predict, which includes all tokens except BOS
        self.rounded_lengths = -(-np.stack([source.lengths, self.predicted]) // round_to) * round_to
        self.bounds = batch_bounds(self.rounded_lengths[:, self.sort_by_length(self.all_rows())], tokens)

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def all_rows(self) -> np.ndarray:
        return np.arange(len(self.predicted))

    def sort_by_length(self, rows: np.ndarray) -> np.ndarray:
        """Sort rows by their rounded lengths. Rows with the same lengths keep their order."""
        return rows[np.lexsort(self.rounded_lengths[:, rows])]

    def epoch_batches(self) -> list[np.ndarray]:
        """Return the rows of each global batch of the current epoch. `default_rng` mixes seed and epoch."""
        rows = self.all_rows()
        if not self.shuffle:
            return np.split(self.sort_by_length(rows), self.bounds[1:-1])
        random = np.random.default_rng([self.seed, self.epoch])
        batches = np.split(self.sort_by_length(random.permutation(rows)), self.bounds[1:-1])
        return [batches[index] for index in random.permutation(len(batches))]

    def __iter__(self) -> Iterator[Batch]:
        # The body of a generator function starts at the first next(), when Lightning has already set the epoch.
        rank, world_size = rank_and_world_size()
        batches = self.epoch_batches()
        start, self.start = self.start % len(self), 0
        for index in range(start, len(self)):
            self.done = index + 1
            yield self.rank_batch(batches[index], rank, world_size)

    def rank_batch(self, rows: np.ndarray, rank: int, world_size: int) -> Batch:
        """Return this rank's part of a global batch.

        If a batch has fewer pairs than ranks, the remaining ranks get one of its pairs with a loss weight of 0.
        """
        own_rows = rows[rank::world_size]
        loss_weight = world_size * self.predicted[own_rows].sum() / self.predicted[rows].sum()
        self.items = own_rows = own_rows if len(own_rows) else rows[:1]
        source_length, target_length = self.rounded_lengths[:, own_rows].max(1).tolist()
        source, target = self.source.pad(own_rows, source_length), self.target.pad(own_rows, target_length + 1)
        return source, target, float(loss_weight)


def batch_bounds(rounded_lengths: np.ndarray, tokens: int) -> list[int]:
    """Return the start and end of each batch in a sorted list of pairs with these rounded lengths (2, n).

    Each batch is as large as the limit `tokens` allows. Raises UserError if a single pair has more than `tokens`
    tokens.
    """
    largest = rounded_lengths.sum(0).max()
    if largest > tokens:
        raise UserError(f"batches.tokens is {tokens}, but the longest pair has {largest} tokens. Raise batches.tokens.")
    bounds, longest = [0], np.zeros(2, int)
    for row, lengths in enumerate(rounded_lengths.T):
        longer = np.maximum(longest, lengths)
        if longer.sum() * (row + 1 - bounds[-1]) > tokens:
            bounds.append(row)
            longer = lengths
        longest = longer
    return [*bounds, rounded_lengths.shape[1]]
