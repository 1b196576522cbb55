"""Clean a raw corpus, and drop pairs so that no sentence is in two splits."""

from collections.abc import Iterable

import pandas as pd

from lectern.errors import UserError
from lectern.tasks.translation.data.corpus import SIDES, Corpus
from lectern.tasks.translation.data.duplicates import drop_exact_duplicates, drop_near_duplicates
from lectern.tasks.translation.data.format.cleaning import count_defects, normalize

Counts = dict[str, int]


def clean_corpus(corpus: Corpus, min_words: int | None) -> tuple[Corpus, dict[str, Counts]]:
    """Return the cleaned corpus, and the number of defects and dropped pairs of each split.

    The cleaned validation split contains no sentence of a test set. The cleaned training split contains no sentence of
    the validation split or a test set. `drop_near_duplicates` explains `min_words`. Raises UserError if a test set has
    an empty sentence, or if the training split or the validation split would be empty.
    """
    tests = {name: normalize_pairs(pairs) for name, pairs in corpus.tests.items()}
    for name, pairs in tests.items():
        require_no_empty_sentence(name, pairs)
    validation, dropped_validation = drop_unusable(normalize_pairs(corpus.validation), tests.values(), min_words)
    train, dropped_train = drop_unusable(normalize_pairs(corpus.train), [validation, *tests.values()], min_words)
    if train.empty or validation.empty:
        raise UserError(
            f"After removing duplicates, {len(train)} training pairs and {len(validation)} validation pairs remain. "
            "Both splits need at least one pair."
        )
    counts = {
        "train": count_corpus(corpus.train) | dropped_train,
        "validation": count_corpus(corpus.validation) | dropped_validation,
        **{name: count_corpus(pairs) for name, pairs in corpus.tests.items()},
    }
    return Corpus(train, validation, tests), counts


def normalize_pairs(pairs: pd.DataFrame) -> pd.DataFrame:
    """Return the pairs with normalised source and target sentences."""
    return pairs.assign(**{side: pairs[side].map(normalize) for side in SIDES})


def drop_unusable(
    pairs: pd.DataFrame, held_out: Iterable[pd.DataFrame], min_words: int | None
) -> tuple[pd.DataFrame, Counts]:
    """Drop pairs with an empty sentence, repeated pairs, and near duplicates of held-out pairs.

    Return the remaining pairs, and the number of dropped pairs of each kind.
    """
    complete = pairs[(pairs["source"] != "") & (pairs["target"] != "")].reset_index(drop=True)
    distinct = drop_exact_duplicates(complete)
    usable = drop_near_duplicates(distinct, held_out, min_words)
    counts = {
        "empty_pairs_dropped": len(pairs) - len(complete),
        "repeated_pairs_dropped": len(complete) - len(distinct),
        "near_duplicates_of_held_out_dropped": len(distinct) - len(usable),
    }
    return usable, counts


def require_no_empty_sentence(name: str, pairs: pd.DataFrame) -> None:
    """Raise UserError if a test set has an empty sentence.

    Pairs of a test set are not dropped, because scores on different pairs could not be compared.
    """
    empty = [number for number, pair in enumerate(zip(pairs["source"], pairs["target"], strict=True), 1) if "" in pair]
    if empty:
        raise UserError(
            f"{name}: line {empty[0]} is empty ({len(empty)} empty lines in total). "
            "A test pair needs a source and a target; add the missing sentence."
        )


def count_corpus(pairs: pd.DataFrame) -> Counts:
    """Return the number of pairs in a raw split, and the number of sentences with each kind of defect."""
    return {"pairs_read": len(pairs), **count_defects(text for side in SIDES for text in pairs[side])}
