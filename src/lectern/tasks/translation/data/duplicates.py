"""Remove duplicate sentence pairs within a split, and near duplicates between splits."""

from collections.abc import Iterable

import pandas as pd

from lectern.tasks.translation.data.format.words import UNHYPHENATED_WORD


def drop_near_duplicates(pairs: pd.DataFrame, held_out: Iterable[pd.DataFrame], min_words: int | None) -> pd.DataFrame:
    """Drop the pairs whose source or target is equal or similar to a sentence of a held-out split.

    Case and punctuation are ignored. Two sentences of at least `min_words` words are similar if they differ by one
    added, removed or replaced word. If `min_words` is None, only pairs with equal sentences are dropped.
    """
    is_duplicate = pd.Series(False, index=pairs.index)
    for side in ("source", "target"):
        held_out_keys = {key for split in held_out for text in split[side] for key in comparison_keys(text, min_words)}
        is_duplicate |= pairs[side].map(
            lambda text, keys=held_out_keys: not keys.isdisjoint(comparison_keys(text, min_words))
        )
    return pairs[~is_duplicate].reset_index(drop=True)


def comparison_keys(text: str, min_words: int | None) -> set[str]:
    """Return the keys of a sentence: the words of the sentence, and all variants with one word left out.

    Two sentences that differ by one word have at least one common key.

    >>> sorted(comparison_keys("A man sleeps!", min_words=3))
    ['a man', 'a man sleeps', 'a sleeps', 'man sleeps']
    """
    words = UNHYPHENATED_WORD.findall(text.casefold())
    if min_words is None or len(words) < min_words:
        return {" ".join(words)}
    return {" ".join(words)} | {" ".join(words[:index] + words[index + 1 :]) for index in range(len(words))}


def drop_exact_duplicates(pairs: pd.DataFrame) -> pd.DataFrame:
    """Return the pairs without repetitions. The first of several identical pairs is kept."""
    return pairs.drop_duplicates().reset_index(drop=True)
