"""Split labelled sentences into training, validation and test sentences, so that no sentence is in two splits."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from typing_extensions import TypedDict

from lectern.artifacts.split_sizes import count_items, select_groups
from lectern.config import Amount
from lectern.errors import UserError
from lectern.tasks.sentences.data.format.words import comparison_key
from lectern.tasks.sentences.data.labelled_lines import read_labelled_lines


class Corpus(TypedDict):
    """The files of a further dataset of the same origin, as in the arguments of `preprocess`."""

    train: str
    validation: str | Amount
    test: str | Amount
    encoding: str


Splits = dict[str, pd.DataFrame]  # tables with the columns `text`, `label` and `key`
Counts = dict[str, int]


def read_splits(
    raw: Path,
    train: str,
    validation: str | Amount,
    test: str | Amount,
    encoding: str,
    classes: int | None,
    max_words: int,
) -> Splits:
    """Return the sentences of each split.

    `classes` is the number of classes, or None if the labels are not used. `validation` and `test` are names of files,
    or a number or a share of the sentences in the file `train`. Sentences
    are held out by a hash of their words, so equal sentences are in the same split, and the splits are always the same.
    """

    def read(name: str) -> pd.DataFrame:
        table = read_labelled_lines(raw / name, encoding, classes, max_words)
        return table.assign(key=table["text"].map(comparison_key))

    remaining, amounts = read(train), {"test": test, "validation": validation}
    total = len(remaining)
    held_out = {}
    for split, source in amounts.items():
        if isinstance(source, str):
            held_out[split] = read(source)
        else:
            count = count_items(source, total, f"preprocess.{split}", "sentences")
            is_held_out = select_groups(remaining["key"].tolist(), count)
            held_out[split], remaining = remaining[is_held_out], remaining[~is_held_out]
    return {"train": remaining, "validation": held_out["validation"], "test": held_out["test"]}


def drop_duplicates(splits: Splits) -> tuple[Splits, dict[str, Counts]]:
    """Return the splits without duplicates, and counts of the dropped sentences and of those with different labels.

    A validation sentence is dropped if it is also a test sentence. A training sentence is dropped if it is also a
    validation or a test sentence, or if it repeats a training sentence with the same label. Test sentences are never
    dropped, because scores on different sentences cannot be compared.
    """
    test, validation, train = splits["test"], splits["validation"], splits["train"]
    kept_validation = validation[~validation["key"].isin(test["key"])]
    unseen = train[~train["key"].isin([*validation["key"], *test["key"]])]
    kept_train = unseen.drop_duplicates(["key", "label"])
    counts = {
        "train": {
            "read": len(train),
            "dropped_because_held_out": len(train) - len(unseen),
            "dropped_because_repeated": len(unseen) - len(kept_train),
            "with_contradicting_labels": count_contradictions(kept_train),
        },
        "validation": {
            "read": len(validation),
            "dropped_because_held_out": len(validation) - len(kept_validation),
            "with_contradicting_labels": count_contradictions(kept_validation),
        },
        "test": {
            "read": len(test),
            "repeated": int(test["key"].duplicated().sum()),
            "with_contradicting_labels": count_contradictions(test),
        },
    }
    cleaned = {"train": kept_train, "validation": kept_validation, "test": test}
    return {split: table.reset_index(drop=True) for split, table in cleaned.items()}, counts


def collect_unlabelled(splits: Splits, corpora: Sequence[Splits]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the training sentences of a dataset, and the training sentences of further corpora without their labels.

    Both tables contain no validation or test sentence of any of these datasets, and no sentence twice.
    """
    held_out = {key for each in (splits, *corpora) for split in ("validation", "test") for key in each[split]["key"]}
    train = splits["train"][~splits["train"]["key"].isin(held_out)].reset_index(drop=True)
    others = pd.concat([corpus["train"] for corpus in corpora])
    new = others[~others["key"].isin(held_out | set(train["key"]))].drop_duplicates("key")
    return train, new[["text"]].reset_index(drop=True)


def count_contradictions(table: pd.DataFrame) -> int:
    """Return the number of different sentences that have more than one label."""
    return int((table.groupby("key")["label"].nunique() > 1).sum())


def check_classes(splits: Mapping[str, pd.DataFrame], classes: Sequence[str]) -> None:
    """Raise UserError if a split is empty, or if a class has no training sentence."""
    for split, table in splits.items():
        if table.empty:
            raise UserError(f"The {split} split has no sentences after duplicates were dropped. Add sentences to it.")
    present = set(splits["train"]["label"])
    for number, name in enumerate(classes):
        if number not in present:
            others = [split for split, table in splits.items() if (table["label"] == number).any()]
            found = f"; it occurs in: {', '.join(others)}" if others else ""
            raise UserError(
                f"The class {name!r} (label {number}) has no training sentence{found}. Add training sentences, or "
                "remove the class from preprocess.classes."
            )
