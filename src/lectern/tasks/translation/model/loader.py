"""Packed sentences to batches of about as many tokens each, alike in length, so that little of them is padding."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from lectern.errors import UserError
from lectern.tasks.translation.data.format.vocabulary import PAD
from lectern.training.distributed import rank_and_world_size

Batch = tuple[Tensor, Tensor, float]


def load(processed: Path, split: str, seed: int, tokens: int, round_to: int = 2) -> "Sentences":
    """Batches of int64 source (B, S), target (B, T) and share, the training split in a new order each epoch."""
    pairs = pd.read_parquet(processed / f"{split}.parquet", columns=["source_ids", "target_ids"])
    source, target = (Packed(list(pairs[side])) for side in pairs.columns)
    return Sentences(source, target, tokens, round_to, shuffle=split == "train", seed=seed)


class Packed:
    """Rows of ids of different lengths, end to end in one array."""

    def __init__(self, rows: Sequence[Sequence[int] | np.ndarray]):
        self.lengths = np.array([len(row) for row in rows])
        self.starts = np.cumsum(self.lengths) - self.lengths
        self.ids = np.concatenate(rows).astype(np.int64)

    def padded(self, rows: np.ndarray, width: int) -> Tensor:
        """Rows by index, int64 (B, width), padded at the end."""
        column = np.arange(width)
        is_word = column < self.lengths[rows, None]
        index = np.where(is_word, self.starts[rows, None] + column, 0)
        return torch.from_numpy(np.where(is_word, self.ids[index], PAD))


class Sentences:
    """Pairs of sentences, each once an epoch, in batches whose order (seed, epoch) alone decides.

    `tokens` is what a global batch may hold of both sides, padding included. Lengths are rounded up to `round_to`, so
    that few shapes occur. Pairs of the same rounded lengths are shuffled among themselves and the batches among each
    other, so every epoch has as many batches. Each rank takes its part of every global batch; a batch's last item is
    its share of it (world * its target words / all words), as in `lectern.batches.Rows`.
    """

    def __init__(self, source: Packed, target: Packed, tokens: int, round_to: int, shuffle: bool, seed: int):
        self.source, self.target, self.tokens = source, target, tokens
        self.shuffle, self.seed = shuffle, seed
        self.words = target.lengths - 1  # to be predicted: all but the first, which says that a sentence begins
        self.widths = -(-np.stack([source.lengths, self.words]) // round_to) * round_to
        self.epoch = self.done = self.start = 0  # done: batches given; start: where the next pass begins
        self.batch_sampler = None  # Lightning asks for it where there is a sampler
        self.bounds = cut(self.widths[:, self.by_length(np.arange(len(self.words)))], tokens)

    @property
    def sampler(self) -> "Sentences":  # Lightning calls loader.sampler.set_epoch before each epoch
        return self

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:  # the same on every rank and in every epoch
        return len(self.bounds) - 1

    def state_dict(self) -> dict[str, int]:
        return {"done": self.done, "rows": len(self.words), "tokens": self.tokens, "seed": self.seed}

    def load_state_dict(self, state: dict[str, int]) -> None:
        here = self.state_dict()
        wrong = {key: (state[key], here[key]) for key in ("rows", "tokens", "seed") if state[key] != here[key]}
        if wrong:
            raise ValueError(f"the checkpoint is of other batches (there, here): {wrong}")
        self.done = self.start = state["done"]

    def by_length(self, rows: np.ndarray) -> np.ndarray:
        """The rows, shortest first; those of the same rounded lengths stay in the order given."""
        return rows[np.lexsort(self.widths[:, rows])]

    def order(self) -> list[np.ndarray]:
        """The rows of each global batch of this epoch. `default_rng` mixes seed and epoch."""
        rows = np.arange(len(self.words))
        if not self.shuffle:
            return np.split(self.by_length(rows), self.bounds[1:-1])
        random = np.random.default_rng([self.seed, self.epoch])
        batches = np.split(self.by_length(random.permutation(rows)), self.bounds[1:-1])
        return [batches[index] for index in random.permutation(len(batches))]

    def __iter__(self) -> Iterator[Batch]:
        # a generator: nothing here runs before the first next(), when Lightning has told the epoch
        rank, world = rank_and_world_size()
        batches = self.order()
        start, self.start = self.start % len(self), 0
        for index in range(start, len(self)):
            self.done = index + 1
            yield self.batch(batches[index], rank, world)

    def batch(self, whole: np.ndarray, rank: int, world: int) -> Batch:
        """This rank's part of a global batch. Where there are more ranks than pairs, some get one that counts for 0."""
        mine = whole[rank::world]
        loss_weight = world * self.words[mine].sum() / self.words[whole].sum()
        mine = mine if len(mine) else whole[:1]
        source, words = self.widths[:, mine].max(1).tolist()
        return self.source.padded(mine, source), self.target.padded(mine, words + 1), float(loss_weight)


def cut(widths: np.ndarray, tokens: int) -> list[int]:
    """Where batches begin and end among pairs of these rounded lengths (2, n): each as long as `tokens` allow.

    Raises UserError where one pair alone has more.
    """
    if widths.sum(0).max() > tokens:
        raise UserError(f"batches.tokens is {tokens}, but one pair alone has {widths.sum(0).max()}. Raise it.")
    bounds, widest = [0], np.zeros(2, int)
    for row, width in enumerate(widths.T):
        wider = np.maximum(widest, width)
        if wider.sum() * (row + 1 - bounds[-1]) > tokens:
            bounds.append(row)
            wider = width
        widest = wider
    return [*bounds, widths.shape[1]]
