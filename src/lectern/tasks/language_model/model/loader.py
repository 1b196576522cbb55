"""Load a packed text as parallel streams. Row i of a batch continues row i of the previous batch."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lectern.config import PositiveInt
from lectern.errors import UserError
from lectern.tasks.language_model.data.format.alphabet import UNKNOWN_ID
from lectern.training.distributed import rank_and_world_size
from lectern.training.loader import ResumableLoader

IGNORE_INDEX = -100  # marks targets that the loss ignores; default value of `ignore_index` of cross_entropy
# minimum length of a long stream in characters; the empty state at its start hardly changes its mean loss
LONG_STREAM_LENGTH = 4000


class TextStreams(ResumableLoader):
    """A loader that cuts a text into `streams` equal parts and reads these parts in parallel.

    A batch contains the ids (streams, time), the targets (streams, time) and the loss weight of this rank. The target
    of each id is the next id of the text. The loss weight is proportional to the number of targets of this rank. A
    batch has about `unroll` characters per stream, and the lengths of batches differ by at most one. Each character is
    a target exactly once per epoch.

    With `random_start`, the text is treated as circular, so the first character follows the last character. Each epoch
    starts at a random position, which depends on `seed` and the epoch.

    Each rank reads the same rows of every batch, so that the rank can keep the states of these rows.
    """

    item_name = "texts that start at the characters"

    def __init__(self, text: Tensor, streams: int, unroll: int, random_start: bool = False, seed: int = 0):
        super().__init__(rows=len(text), batch_size=streams, seed=seed)
        self.streams, self.random_start, self.seed = streams, random_start, seed
        self.text, self.inputs = text, text.roll(1)
        if not random_start:
            self.inputs[0] = UNKNOWN_ID  # the first character has no previous character
        self.boundaries = [stream * len(text) // streams for stream in range(streams + 1)]
        self.longest = max(end - start for start, end in zip(self.boundaries, self.boundaries[1:], strict=False))
        self.batches = -(-self.longest // unroll)

    def __len__(self) -> int:
        return self.batches

    def offset(self) -> int:
        """Return the position in the text at which the first stream starts in the current epoch."""
        if not self.random_start:
            return 0
        return int(np.random.default_rng([self.seed, self.epoch]).integers(len(self.text)))

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, float]]:
        # The body of a generator function starts at the first next(), when Lightning has already set the epoch.
        rank, world_size = rank_and_world_size()
        rows = slice(self.streams * rank // world_size, self.streams * (rank + 1) // world_size)
        offset, start, self.start = self.offset(), self.start % len(self), 0
        for index in range(start, len(self)):
            ids, targets = self.get_batch(index, offset)
            self.items = self.first_characters(index, offset)[rows]
            counts = (targets != IGNORE_INDEX).sum(1)
            self.done = index + 1
            yield ids[rows], targets[rows], world_size * counts[rows].sum().item() / counts.sum().item()

    def first_characters(self, index: int, offset: int) -> Tensor:
        """Return the position in the text of the first target of a batch, for each stream."""
        starts = torch.tensor(self.boundaries[:-1]) + index * self.longest // len(self)
        return (starts + offset) % len(self.text)

    def get_batch(self, index: int, offset: int) -> tuple[Tensor, Tensor]:
        """Return the ids and the targets of one batch of all streams.

        Streams can differ in length by one character. In a shorter stream, the target after the end is IGNORE_INDEX.
        """
        columns = torch.arange(index * self.longest // len(self), (index + 1) * self.longest // len(self))
        starts = torch.tensor(self.boundaries[:-1]).unsqueeze(1)
        ends = torch.tensor(self.boundaries[1:]).unsqueeze(1)
        positions = starts + columns  # (streams, time)
        ring = (positions + offset) % len(self.text)
        return self.inputs[ring].long(), self.text[ring].long().masked_fill(positions >= ends, IGNORE_INDEX)


def load(processed: Path, split: str, seed: int, batch_size: PositiveInt, unroll: PositiveInt) -> TextStreams:
    """Return a loader of a split. `batch_size` is the number of streams of the training split.

    Raises UserError if the training text is too short for one batch.
    """
    text = torch.from_numpy(np.load(processed / f"{split}.npy").astype(np.int16))
    if split == "train":
        check_text_length(len(text), batch_size, unroll)
        return TextStreams(text, batch_size, unroll, random_start=True, seed=seed)
    streams = max(min(batch_size, 16), len(text) // LONG_STREAM_LENGTH)
    return TextStreams(text, streams, max(unroll, 100))


def check_text_length(characters: int, streams: int, unroll: int) -> None:
    if characters < streams * unroll:
        raise UserError(
            f"The training text has {characters:,} characters, but one batch of {streams} streams with "
            f"{unroll} characters each needs {streams * unroll:,}. Lower batches.batch_size or batches.unroll, or use "
            "a longer text."
        )
