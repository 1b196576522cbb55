"""Read a parallel corpus, which consists of sentence pairs in two languages."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from lectern.errors import UserError
from lectern.tasks.translation.data.text_files import LANGUAGE, read_lines

SIDES = ["source", "target"]


@dataclass(frozen=True)
class Corpus:
    """The sentence pairs of each split, as tables with the columns `source` and `target`.

    The first test set determines the score of a model.
    """

    train: pd.DataFrame
    validation: pd.DataFrame
    tests: dict[str, pd.DataFrame]

    @property
    def training_splits(self) -> dict[str, pd.DataFrame]:
        return {"train": self.train, "validation": self.validation}


def read_corpus(
    raw: Path, languages: tuple[str, str], columns: Sequence[int], train: str, validation: str | int, tests: list[str]
) -> Corpus:
    """Read all splits of a corpus. `read_pairs` describes the format of the file names.

    If `validation` is a number n, n pairs are moved from the training split to the validation split. Raises UserError
    if two test sets have the same name.
    """
    train_pairs = read_pairs(raw, train, languages, columns)
    if isinstance(validation, int):
        train_pairs, validation_pairs = hold_out(train_pairs, validation)
    else:
        validation_pairs = read_pairs(raw, validation, languages, columns)
    test_pairs = {test_name(name): read_pairs(raw, name, languages, columns) for name in tests}
    if len(test_pairs) < len(tests):
        raise UserError(f"Two test files have the same name before the first dot: {tests}. Rename one of the files.")
    return Corpus(train_pairs, validation_pairs, test_pairs)


def test_name(file_name: str) -> str:
    """Return the name of a test set, which is the name of the test file without the folder and the endings.

    >>> test_name("task1/test_2016_flickr.{language}.gz")
    'test_2016_flickr'
    """
    return file_name.split("/")[-1].split(".")[0]


def read_pairs(raw: Path, name: str, languages: tuple[str, str], columns: Sequence[int]) -> pd.DataFrame:
    """Read the sentence pairs of one split, unchanged, into the columns `source` and `target`.

    `name` is a file in `raw`. The file can be plain, gzipped (`.gz`) or in an archive (`corpus.zip/folder/file`). A
    name that contains `{language}` selects two files with parallel lines. A name without `{language}` selects a
    tab-separated file, whose columns `columns` contain the sentences. Raises UserError if a file is missing, damaged,
    not UTF-8, or if the two files have different numbers of lines.
    """
    if LANGUAGE not in name:
        return read_table(raw, name, columns)
    sides = [read_lines(raw, name, language) for language in languages]
    if len(sides[0]) != len(sides[1]):
        counts = " and ".join(
            f"{name.replace(LANGUAGE, language)} has {len(side):,}"
            for language, side in zip(languages, sides, strict=True)
        )
        raise UserError(
            f"{raw}: parallel files must have the same number of lines, but {counts}. "
            "Download both files from the same release."
        )
    return pd.DataFrame(dict(zip(SIDES, sides, strict=True)), dtype=object)


def read_table(raw: Path, name: str, columns: Sequence[int]) -> pd.DataFrame:
    """Read the sentence pairs in two columns of a tab-separated file."""
    rows = [line.split("\t") for line in read_lines(raw, name)]
    for number, row in enumerate(rows, 1):
        if len(row) <= max(columns):
            raise UserError(
                f"{raw / name}, line {number}: found {len(row)} tab-separated columns, but preprocess.columns selects "
                f"{list(columns)} (counted from 0). Fix the line or preprocess.columns."
            )
    return pd.DataFrame([[row[column] for column in columns] for row in rows], columns=SIDES, dtype=object)


def hold_out(pairs: pd.DataFrame, count: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Select `count` pairs at random. Return the remaining pairs and the selected pairs."""
    if not 0 < count < len(pairs):
        raise UserError(
            f"preprocess.validation is {count:,}, but there are {len(pairs):,} pairs. "
            f"Hold out between 1 and {len(pairs) - 1:,} pairs."
        )
    is_held_out = np.zeros(len(pairs), bool)
    is_held_out[np.random.default_rng(0).permutation(len(pairs))[:count]] = True
    return pairs[~is_held_out].reset_index(drop=True), pairs[is_held_out].reset_index(drop=True)
