"""Splits of a corpus to a table of what is in them."""

import pandas as pd

from lectern.tasks.translation.data.corpus import SIDES
from lectern.tasks.translation.data.format import vocabulary


def describe(splits: dict[str, pd.DataFrame], tokenizer: str) -> pd.DataFrame:
    """A row a split and side: sentences, words, and how long they are in words and in pieces."""
    rows = [
        {"split": split, "side": side, "text": text, "pieces": pieces}
        for split, pairs in splits.items()
        for side in SIDES
        for text, pieces in zip(pairs[side], count_pieces(pairs[side], tokenizer), strict=True)
    ]
    table = pd.DataFrame(rows)
    table["words"] = table["text"].str.split().str.len()
    groups = table.groupby(["split", "side"], sort=False)
    return groups.agg(
        sentences=("text", "size"),
        words=("words", "sum"),
        words_a_sentence=("words", "mean"),
        longest_in_words=("words", "max"),
        pieces_a_sentence=("pieces", "mean"),
        longest_in_pieces=("pieces", "max"),
    ).round(2)


def count_pieces(texts: pd.Series, tokenizer: str) -> list[int]:
    return [len(ids) for ids in vocabulary.encode(vocabulary.load(tokenizer), texts)]
