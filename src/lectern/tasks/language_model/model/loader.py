"""A packed text to parallel streams, batch after batch: row i of one batch is continued by row i of the next."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lectern.errors import UserError
from lectern.tasks.language_model.data.format.alphabet import UNKNOWN
from lectern.training.distributed import rank_and_world_size
from lectern.training.loader import InMemoryLoader

IGNORED = -100  # a target that counts for nothing: cross_entropy's own mark
LONG = 4000  # characters of a validation stream: long enough that starting from nothing costs next to nothing


def load(processed: Path, split: str, seed: int, batch_size: int, unroll: int) -> "Streams":
    """Ids (streams, time) of a split and the ids that follow each; `batch_size` is the number of training streams.

    Raises UserError for a text that is too short for that.
    """
    text = torch.from_numpy(np.load(processed / f"{split}.npy").astype(np.int16))
    if split == "train":
        check_length(len(text), batch_size, unroll)
        return Streams(text, batch_size, unroll, turn=True, seed=seed)
    return Streams(text, max(min(batch_size, 16), len(text) // LONG), max(unroll, 100))


def check_length(characters: int, streams: int, unroll: int) -> None:
    if characters < streams * unroll:
        raise UserError(
            f"The training text has {characters:,} characters, but one batch of {streams} streams of {unroll} needs "
            f"{streams * unroll:,}. Lower batches.batch_size or batches.unroll, or use a longer text."
        )


class Streams(InMemoryLoader):
    """A text cut into `streams` equal parts that are read side by side, about `unroll` characters a batch.

    A batch is ids (streams, time), the ids that follow (streams, time), and this rank's share of the targets. Every
    character is a target exactly once an epoch: the text is a ring, where `turn` chooses the place of the first cut
    anew each epoch (by seed and epoch), and the batches differ in length by at most one. Each rank owns the same
    streams all the time, and so their resume_state state.
    """

    def __init__(self, text: Tensor, streams: int, unroll: int, turn: bool = False, seed: int = 0):
        super().__init__(text, batch_size=streams, shuffle=turn, seed=seed)
        self.text, self.before = text, text.roll(1)
        if not turn:
            self.before[0] = UNKNOWN  # no ring: nothing is known before the first character
        self.cuts = [stream * len(text) // streams for stream in range(streams + 1)]
        self.longest = max(end - start for start, end in zip(self.cuts, self.cuts[1:], strict=False))
        self.batches = -(-self.longest // unroll)

    def __len__(self) -> int:
        return self.batches

    def offset(self) -> int:
        """Where in the ring the first stream starts this epoch."""
        return int(np.random.default_rng([self.seed, self.epoch]).integers(self.rows)) if self.shuffle else 0

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, float]]:
        # a generator: nothing here runs before the first next(), when Lightning has told the epoch
        rank, world = rank_and_world_size()
        streams = self.batch_size
        mine = slice(streams * rank // world, streams * (rank + 1) // world)
        offset, start, self.start = self.offset(), self.start % len(self), 0
        for index in range(start, len(self)):
            ids, targets = self.cut(index, offset)
            counts = (targets != IGNORED).sum(1)
            self.done = index + 1
            yield ids[mine], targets[mine], world * counts[mine].sum().item() / counts.sum().item()

    def cut(self, index: int, offset: int) -> tuple[Tensor, Tensor]:
        """Batch `index` of all streams; a stream that has ended (one of its last column) has targets to ignore."""
        columns = torch.arange(index * self.longest // len(self), (index + 1) * self.longest // len(self))
        starts, ends = torch.tensor(self.cuts[:-1]).unsqueeze(1), torch.tensor(self.cuts[1:]).unsqueeze(1)
        places = starts + columns  # (streams, time)
        ring = (places + offset) % self.rows
        return self.before[ring].long(), self.text[ring].long().masked_fill(places >= ends, IGNORED)
