"""Split labelled sentences, learn a vocabulary from the training sentences, and write texts and word numbers."""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from lectern.artifacts.dataset import Facts, write_facts
from lectern.artifacts.digests import content_digest
from lectern.config import Amount, PositiveInt
from lectern.errors import UserError
from lectern.tasks.sentences.data.format.sentences import prepare
from lectern.tasks.sentences.data.format.vocabulary import build_vocabulary
from lectern.tasks.sentences.data.format.words import split_words
from lectern.tasks.sentences.data.splits import (
    Corpus,
    Counts,
    Splits,
    check_classes,
    collect_unlabelled,
    drop_duplicates,
    read_splits,
)


def preprocess(
    raw: Path,
    out: Path,
    classes: Sequence[str],
    train: str,
    validation: str | Amount,
    test: str | Amount,
    encoding: str = "utf-8",
    vocabulary_size: PositiveInt = 30_000,
    max_words: PositiveInt = 1_000,
    lowercase: bool = True,
    unlabelled: Sequence[Corpus] = (),
) -> None:
    """Write `train.parquet` and `validation.parquet` (with word numbers), `test.parquet` (raw texts) and `facts.json`.

    `classes` contains the name of each class, in the order of the labels 0, 1, ... `train`, `validation` and `test` are
    names of files, whose format `labelled_lines.read_labelled_lines` describes. If `validation` or `test` is a number
    or a share, this amount of sentences is held out from `train`. A sentence has at most `max_words` words, and a
    served model rejects longer sentences. If `lowercase` is false, words keep their case: in questions, names and
    abbreviations are informative. `unlabelled` lists further corpora of the origin for the training of masked words:
    their training sentences are written to `unlabelled.parquet` without labels, and they are part of the vocabulary.
    Raises UserError if a file does not have the expected format, or if a class has no training sentence.
    """
    check_class_names(classes)
    splits, counts = drop_duplicates(read_splits(raw, train, validation, test, encoding, len(classes), max_words))
    corpora = [read_splits(raw, **corpus, classes=None, max_words=max_words) for corpus in unlabelled]
    more = pd.DataFrame({"text": []})
    if corpora:
        labelled = len(splits["train"])
        splits["train"], more = collect_unlabelled(splits, corpora)
        counts["train"]["dropped_because_held_out_elsewhere"] = labelled - len(splits["train"])
        counts["train"]["unlabelled"] = len(more)
    check_classes(splits, classes)
    report_counts(counts)
    words = (split_words(text, lowercase) for text in [*splits["train"]["text"], *more["text"]])
    vocabulary = build_vocabulary(words, vocabulary_size)
    facts = {
        "prepare": {"max_words": max_words, "lowercase": lowercase},
        "classes": list(classes),
        "vocabulary": vocabulary,
        "most_frequent": int(np.bincount(splits["train"]["label"]).argmax()),
        "items": {split: len(table) for split, table in splits.items()},
        "counts": counts,
        "test_digest": content_digest(splits["test"]["text"], splits["test"]["label"].to_numpy(np.int64)),
    }
    write_splits(out, splits, facts)
    if corpora:
        write_sentences(more, facts, out / "unlabelled.parquet")
    write_facts(out, facts)


def check_class_names(classes: Sequence[str]) -> None:
    """Raise UserError if there are fewer than two classes, or if two classes have the same name."""
    if len(classes) < 2 or len(set(classes)) < len(classes) or not all(classes):
        raise UserError(f"preprocess.classes is {list(classes)}; expected at least two different names.")


def report_counts(counts: dict[str, Counts]) -> None:
    """Print how many sentences were dropped and how many sentences have contradicting labels."""
    for split, numbers in counts.items():
        noted = [f"{count:,} {name.replace('_', ' ')}" for name, count in numbers.items() if name != "read" and count]
        if noted:
            print(f"lectern: {split}: {numbers['read']:,} sentences read; {', '.join(noted)}", file=sys.stderr)


def write_splits(out: Path, splits: Splits, facts: Facts) -> None:
    """Write one Parquet table per split.

    The test table contains only raw texts and labels, because a served model also receives raw texts.
    """
    out.mkdir(parents=True, exist_ok=True)
    for split in ("train", "validation"):
        write_sentences(splits[split][["text", "label"]], facts, out / f"{split}.parquet")
    splits["test"][["text", "label"]].to_parquet(out / "test.parquet", index=False)


def write_sentences(table: pd.DataFrame, facts: Facts, path: Path) -> None:
    """Write sentences with their word numbers."""
    table.assign(words=prepare(table["text"].tolist(), facts)).to_parquet(path, index=False)
