"""Splits of a corpus to splits that share no sentence, nor one that differs by a word."""

import re
from collections.abc import Iterable

import pandas as pd


def keep_apart(pairs: pd.DataFrame, held_out: Iterable[pd.DataFrame], near_from: int | None) -> pd.DataFrame:
    """The pairs of which neither side is, or nearly is, in a split that is held out.

    Case and punctuation make no difference. In sentences of at least `near_from` words, one word more, fewer or
    another makes none either; None turns this off (`twenty-one` is no duplicate of `twenty-two`).
    """
    repeated = pd.Series(False, index=pairs.index)
    for side in ("source", "target"):
        known = {form for split in held_out for text in split[side] for form in forms(text, near_from)}
        repeated |= pairs[side].map(lambda text, known=known: not known.isdisjoint(forms(text, near_from)))
    return pairs[~repeated].reset_index(drop=True)


def forms(text: str, near_from: int | None) -> set[str]:
    """The sentence's words, and the same with each one left out: two that differ by a word have a form in common.

    >>> sorted(forms("A man sleeps!", near_from=3))
    ['a man', 'a man sleeps', 'a sleeps', 'man sleeps']
    """
    words = re.findall(r"\w+", text.casefold())
    if near_from is None or len(words) < near_from:
        return {" ".join(words)}
    return {" ".join(words)} | {" ".join(words[:gap] + words[gap + 1 :]) for gap in range(len(words))}


def drop_repeats(pairs: pd.DataFrame) -> pd.DataFrame:
    """Each pair once."""
    return pairs.drop_duplicates().reset_index(drop=True)
