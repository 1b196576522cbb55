"""Read a parallel corpus, which consists of sentence pairs in two languages."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from lectern.artifacts.split_sizes import count_items, select_groups
from lectern.config import Amount
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


@dataclass(frozen=True)
class CorpusFiles:
    """The folder with the files of a corpus, and the two languages of the corpus.

    `languages` are the names of the source language and the target language in the file names. `columns` are the
    columns of the sentences in tab-separated files, counted from 0. If pairs are held out, pairs with equal values in
    `key_column` are held out together.
    """

    raw: Path
    languages: tuple[str, str]
    columns: tuple[int, int] = (0, 1)
    key_column: int | None = None


def read_corpus(
    files: CorpusFiles, train: str, validation: str | Amount, test: str | Amount, other_tests: Sequence[str] = ()
) -> Corpus:
    """Read all splits of a corpus. `read_pairs` describes the format of the file names.

    If `test` or `validation` is a number or a share, this amount of pairs is moved from the training split to the test
    split or the validation split. Raises UserError if two test sets have the same name.
    """
    train_pairs = read_pairs(files, train)
    tests = {}
    if isinstance(test, str):
        tests[test_name(test)] = read_pairs(files, test)
    else:
        train_pairs, tests["test"] = hold_out(drop_incomplete(train_pairs), test, "preprocess.test")
    tests |= {test_name(name): read_pairs(files, name) for name in other_tests}
    if len(tests) < 1 + len(other_tests):
        names = [test if isinstance(test, str) else "test", *other_tests]
        raise UserError(f"Two test files have the same name before the first dot: {names}. Rename one of the files.")
    if isinstance(validation, str):
        validation_pairs = read_pairs(files, validation)
    else:
        train_pairs, validation_pairs = hold_out(train_pairs, validation, "preprocess.validation")
    return Corpus(train_pairs[SIDES], validation_pairs[SIDES], {name: pairs[SIDES] for name, pairs in tests.items()})


def drop_incomplete(pairs: pd.DataFrame) -> pd.DataFrame:
    """Drop pairs with an empty sentence, which a test set must not contain."""
    is_complete = (pairs["source"].str.strip() != "") & (pairs["target"].str.strip() != "")
    return pairs[is_complete].reset_index(drop=True)


def test_name(file_name: str) -> str:
    """Return the name of a test set: the name of the test file without the folder and the endings.

    >>> test_name("task1/test_2016_flickr.{language}.gz")
    'test_2016_flickr'
    """
    return file_name.split("/")[-1].split(".")[0]


def read_pairs(files: CorpusFiles, name: str) -> pd.DataFrame:
    """Read the sentence pairs of one split, unchanged, into the columns `source` and `target`.

    `name` is a file in the folder of the corpus. The file can be plain, gzipped (`.gz`) or in an archive
    (`corpus.zip/folder/file`). A name that contains `{language}` selects two files with parallel lines. A name without
    `{language}` selects a tab-separated file. If the corpus has a key column, the table also has the column `key`.
    Raises UserError if a file is missing, damaged, not UTF-8, or if the two files have different numbers of lines.
    """
    if LANGUAGE not in name:
        return read_table(files, name)
    if files.key_column is not None:
        raise UserError(
            f"preprocess.key_column is {files.key_column}, but {name} has no columns. Remove the key, or set "
            "preprocess.train to a tab-separated file."
        )
    sides = [read_lines(files.raw, name, language) for language in files.languages]
    if len(sides[0]) != len(sides[1]):
        counts = " and ".join(
            f"{name.replace(LANGUAGE, language)} has {len(side):,}"
            for language, side in zip(files.languages, sides, strict=True)
        )
        raise UserError(
            f"{files.raw}: parallel files must have the same number of lines, but {counts}. "
            "Download both files from the same release."
        )
    return pd.DataFrame(dict(zip(SIDES, sides, strict=True)), dtype=object)


def read_table(files: CorpusFiles, name: str) -> pd.DataFrame:
    """Read the sentence pairs, and the key if there is a key column, from a tab-separated file."""
    if files.columns[0] == files.columns[1]:
        raise UserError(
            f"preprocess.columns is {list(files.columns)}; expected two different columns, counted from 0, such as "
            "[0, 1]."
        )
    selected = {"source": files.columns[0], "target": files.columns[1]}
    selected |= {} if files.key_column is None else {"key": files.key_column}
    rows = [line.split("\t") for line in read_lines(files.raw, name)]
    for number, row in enumerate(rows, 1):
        if len(row) <= max(selected.values()):
            raise UserError(
                f"{files.raw / name}, line {number}: found {len(row)} tab-separated columns, but the config selects "
                f"the columns {list(selected.values())} (counted from 0). Fix the line, preprocess.columns or "
                "preprocess.key_column."
            )
    return pd.DataFrame(
        [[row[column] for column in selected.values()] for row in rows], columns=list(selected), dtype=object
    )


def hold_out(pairs: pd.DataFrame, amount: Amount, where: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Select pairs at random, or in groups with equal keys. Return the remaining pairs and the selected pairs."""
    count = count_items(amount, len(pairs), where, "pairs")
    if "key" in pairs:
        is_held_out = select_groups(pairs["key"].tolist(), count)
    else:
        is_held_out = np.zeros(len(pairs), bool)
        is_held_out[np.random.default_rng(0).permutation(len(pairs))[:count]] = True
    return pairs[~is_held_out].reset_index(drop=True), pairs[is_held_out].reset_index(drop=True)
