"""Load a split of labelled sentences as batches of (words, labels, loss weight)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from lectern.config import PositiveInt
from lectern.errors import UserError
from lectern.tasks.sentences.data.format.vocabulary import PAD
from lectern.training.loader import InMemoryLoader

GROUP = 16  # number of batches whose sentences are sorted by length


class SentenceLoader(InMemoryLoader):
    """A loader whose training batches contain sentences of similar length, so that little is padding.

    Each epoch shuffles the sentences, sorts the sentences of every 16 batches by length, and shuffles the batches.
    """

    item_name = "sentences"

    def __init__(self, words: Tensor, labels: Tensor, batch_size: int, shuffle: bool, seed: int):
        super().__init__(words, labels, batch_size=batch_size, shuffle=shuffle, seed=seed)
        self.lengths = (words != PAD).sum(1)

    def order(self) -> Tensor:
        order = super().order()
        if not self.shuffle:
            return order
        groups = torch.split(order, GROUP * self.batch_size)
        ordered = torch.cat([group[self.lengths[group].argsort(stable=True)] for group in groups])
        batches = list(torch.split(ordered, self.batch_size))
        last = batches.pop()  # the last batch can be smaller, so it stays at the end
        shuffled = np.random.default_rng([self.seed, self.epoch, 1]).permutation(len(batches))
        return torch.cat([*(batches[number] for number in shuffled), last])


def load(
    processed: Path,
    split: str,
    seed: int,
    batch_size: PositiveInt,
    labels: PositiveInt | None = None,
    unlabelled: bool = False,
) -> SentenceLoader:
    """Load a split as batches of word numbers (B, time), padded with PAD, and labels (B,).

    `labels` is the number of training sentences that are used. The default is all sentences. The sentences are selected
    at random, so different seeds select different sentences. If `unlabelled` is true, the training sentences without
    labels are added, with the label -1. Raises UserError if there are too few sentences or no such sentences.
    """
    table = pd.read_parquet(processed / f"{split}.parquet")
    if split == "train" and labels is not None:
        table = select_sentences(table, labels, seed)
    if split == "train" and unlabelled:
        table = pd.concat([table, read_unlabelled(processed)], ignore_index=True)
    words = pad([numbers.tolist() for numbers in table["words"]])
    targets = torch.tensor(table["label"].tolist())
    return SentenceLoader(words, targets, batch_size, shuffle=split == "train", seed=seed)


def select_sentences(table: pd.DataFrame, labels: int, seed: int) -> pd.DataFrame:
    """Return `labels` random rows of a table."""
    if labels > len(table):
        raise UserError(
            f"batches.labels is {labels:,}, but the training split has {len(table):,} sentences. Use a smaller number."
        )
    return table.sample(labels, random_state=seed)


def read_unlabelled(processed: Path) -> pd.DataFrame:
    """Return the training sentences without labels, with the label -1."""
    path = processed / "unlabelled.parquet"
    if not path.is_file():
        raise UserError(
            f"batches.unlabelled is true, but {path} does not exist. List further corpora in preprocess.unlabelled of "
            f"the dataset {processed.name}."
        )
    return pd.read_parquet(path).assign(label=-1)


def pad(sentences: Sequence[Sequence[int]]) -> Tensor:
    """Return the word numbers of sentences as one tensor (n, longest), padded with PAD at the end."""
    padded = np.full((len(sentences), max(map(len, sentences))), PAD, np.int64)
    for row, words in zip(padded, sentences, strict=True):
        row[: len(words)] = words
    return torch.from_numpy(padded)


def trim(words: Tensor) -> Tensor:
    """Remove the columns that contain only padding. At least one column remains."""
    return words[:, : max(1, int((words != PAD).sum(1).max()))]
