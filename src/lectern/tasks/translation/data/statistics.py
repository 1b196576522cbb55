"""Compute statistics of the prepared splits."""

import pandas as pd

from lectern.tasks.translation.data.corpus import SIDES
from lectern.tasks.translation.data.format import vocabulary
from lectern.tasks.translation.data.format.words import count_words


def compute_statistics(splits: dict[str, pd.DataFrame], tokenizer: str) -> pd.DataFrame:
    """Return the number of sentences, and their lengths in words and tokens, for each split and side."""
    rows = [
        {"split": split, "side": side, "text": text, "tokens": tokens}
        for split, pairs in splits.items()
        for side in SIDES
        for text, tokens in zip(pairs[side], count_tokens(pairs[side], tokenizer), strict=True)
    ]
    table = pd.DataFrame(rows)
    table["words"] = table["text"].map(count_words)
    groups = table.groupby(["split", "side"], sort=False)
    return groups.agg(
        sentences=("text", "size"),
        words=("words", "sum"),
        words_per_sentence=("words", "mean"),
        max_words=("words", "max"),
        tokens_per_sentence=("tokens", "mean"),
        max_tokens=("tokens", "max"),
    ).round(2)


def count_tokens(texts: pd.Series, tokenizer: str) -> list[int]:
    return [len(ids) for ids in vocabulary.encode(vocabulary.load_tokenizer(tokenizer), texts)]
