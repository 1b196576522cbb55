"""A raw corpus to one that is clean, whose splits share no sentence, with a count of all that was done to it."""

from collections.abc import Iterable

import pandas as pd

from lectern.errors import UserError
from lectern.tasks.translation.data.corpus import SIDES, Corpus
from lectern.tasks.translation.data.duplicates import drop_repeats, keep_apart
from lectern.tasks.translation.data.format.cleaning import count_dirt, normalise

Counts = dict[str, int]


def make_ready(corpus: Corpus, near_from: int | None) -> tuple[Corpus, dict[str, Counts]]:
    """The corpus in normal form: no empty pair, nothing of a test in validation, nothing of either in training.

    Raises UserError where a test has an empty line, or where nothing is left to learn from.
    """
    tests = {name: clean(pairs) for name, pairs in corpus.tests.items()}
    for name, pairs in tests.items():
        refuse_empty(name, pairs)
    validation, checked = drop(clean(corpus.validation), tests.values(), near_from)
    train, learned = drop(clean(corpus.train), [validation, *tests.values()], near_from)
    if train.empty or validation.empty:
        raise UserError(f"{len(train)} pairs are left to train on and {len(validation)} to validate; both need some.")
    counts = {
        "train": count(corpus.train) | learned,
        "validation": count(corpus.validation) | checked,
        **{name: count(pairs) for name, pairs in corpus.tests.items()},
    }
    return Corpus(train, validation, tests), counts


def clean(pairs: pd.DataFrame) -> pd.DataFrame:
    """Both sides in normal form."""
    return pairs.assign(**{side: pairs[side].map(normalise) for side in SIDES})


def drop(pairs: pd.DataFrame, held_out: Iterable[pd.DataFrame], near_from: int | None) -> tuple[pd.DataFrame, Counts]:
    """The pairs without those that are empty, repeated, or held out, and how many of each there were."""
    full = pairs[(pairs["source"] != "") & (pairs["target"] != "")].reset_index(drop=True)
    once = drop_repeats(full)
    apart = keep_apart(once, held_out, near_from)
    counts = {
        "empty_pairs_dropped": len(pairs) - len(full),
        "repeated_pairs_dropped": len(full) - len(once),
        "near_duplicates_of_held_out_dropped": len(once) - len(apart),
    }
    return apart, counts


def refuse_empty(name: str, pairs: pd.DataFrame) -> None:
    """A test is taken as it is: leaving lines out would make scores incomparable."""
    empty = [number for number, pair in enumerate(zip(pairs["source"], pairs["target"], strict=True), 1) if "" in pair]
    if empty:
        raise UserError(f"{name}: line {empty[0]} is empty ({len(empty)} in all); a test pair has two sides. Mend it.")


def count(pairs: pd.DataFrame) -> Counts:
    """How many pairs were read, and how many sentences of either side were dirty, a number a kind."""
    return {"pairs_read": len(pairs), **count_dirt(text for side in SIDES for text in pairs[side])}
