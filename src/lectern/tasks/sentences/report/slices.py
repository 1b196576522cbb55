"""Compute the accuracy on groups of test sentences, such as long sentences or sentences with a negation."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from lectern.artifacts.dataset import Facts
from lectern.tasks.sentences.data.format.sentences import load_word_numbers, split_sentences

NEGATIONS = frozenset(
    ("n't", "not", "no", "never", "neither", "nor", "none", "nothing", "nobody", "nowhere", "without", "hardly")
)
RESAMPLES = 1000


def describe_sentences(texts: Sequence[str], facts: Facts) -> pd.DataFrame:
    """Return the number of words, the share of unknown words and whether the sentence has a negation, per sentence."""
    sentences = split_sentences(texts, facts)
    known = load_word_numbers(tuple(facts["vocabulary"]))
    return pd.DataFrame(
        {
            "words": [len(words) for words in sentences],
            "unknown_share": [sum(word not in known for word in words) / len(words) for words in sentences],
            "has_negation": [not NEGATIONS.isdisjoint(map(str.lower, words)) for words in sentences],
        }
    )


def tabulate_slices(items: pd.DataFrame) -> pd.DataFrame:
    """Return the number of sentences, the accuracy and its 95 % interval for each group of sentences."""
    lengths = [-1, 9, 19, 29, np.inf]
    names = ["1 to 9 words", "10 to 19 words", "20 to 29 words", "30 or more words"]
    unknown = pd.cut(
        items["unknown_share"], [-1, 0, 0.1, 1], labels=["no unknown word", "up to 10 % unknown", "over 10 % unknown"]
    )
    groups = [
        pd.Series("all sentences", index=items.index),
        pd.cut(items["words"], lengths, labels=names),
        items["has_negation"].map({True: "with a negation", False: "without a negation"}),
        unknown,
    ]
    rows = [
        (name, len(part), part.mean(), *confidence_interval(part.to_numpy()))
        for group in groups
        for name, part in items["correct"].groupby(group, observed=True)
    ]
    return pd.DataFrame(rows, columns=["slice", "sentences", "accuracy", "low", "high"])


def confidence_interval(correct: np.ndarray, confidence: float = 0.95) -> tuple[float, float]:
    """Return the percentile bootstrap interval (Efron 1979) of the mean of `correct`. The resamples are always equal.

    A resample of n items with a share p of correct items has a binomial number of correct items.
    """
    counts = np.random.default_rng(0).binomial(len(correct), correct.mean(), RESAMPLES)
    low, high = np.quantile(counts / len(correct), [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)
