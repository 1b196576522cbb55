"""Clean a raw corpus and make sure that no sentence is in two splits."""

from collections.abc import Iterable

import pandas as pd

from lectern.errors import UserError
from lectern.tasks.translation.data.corpus import SIDES, Corpus
from lectern.tasks.translation.data.duplicates import drop_exact_duplicates, drop_near_duplicates
from lectern.tasks.translation.data.format.cleaning import count_defects, normalize

Counts = dict[str, int]


def clean_corpus(corpus: Corpus, min_words: int | None) -> tuple[Corpus, dict[str, Counts]]:
    """Return the cleaned corpus, and the number of defects and dropped pairs of each split.

    The validation split contains no sentence of a test. The training split contains no sentence of validation or a
    test. `min_words` is explained in `drop_near_duplicates`. Raises UserError if a test has an empty sentence, or if
    training or validation would be empty.
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
    """Normalise the sentences of both sides."""
    return pairs.assign(**{side: pairs[side].map(normalize) for side in SIDES})


def drop_unusable(
    pairs: pd.DataFrame, held_out: Iterable[pd.DataFrame], min_words: int | None
) -> tuple[pd.DataFrame, Counts]:
    """Drop empty pairs, repeated pairs and near duplicates of held-out pairs.

    Return the remaining pairs and the numbers of dropped pairs.
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
    """Raise UserError if a test has an empty sentence. If such lines were dropped, scores would not be comparable."""
    empty = [number for number, pair in enumerate(zip(pairs["source"], pairs["target"], strict=True), 1) if "" in pair]
    if empty:
        raise UserError(
            f"{name}: line {empty[0]} is empty ({len(empty)} empty lines in total). "
            "A test pair needs a source and a target; add the missing sentence."
        )


def count_corpus(pairs: pd.DataFrame) -> Counts:
    """Count the pairs of a raw split and the sentences with each kind of defect."""
    return {"pairs_read": len(pairs), **count_defects(text for side in SIDES for text in pairs[side])}
