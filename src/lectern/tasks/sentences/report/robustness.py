"""Measure the accuracy on changed test sentences: with typing errors, in upper case, and without punctuation."""

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd

from lectern.tasks.sentences.data.format.sentences import prepare
from lectern.tasks.sentences.data.format.words import split_words
from lectern.tasks.sentences.model.module import SentenceClassifier

TYPO_RATES = (0.1, 0.3)  # shares of the words with at least four letters that get a typing error
PUNCTUATION = re.compile(r"[^\w\s'-]")


def tabulate_robustness(module: SentenceClassifier, texts: Sequence[str], labels: np.ndarray) -> pd.DataFrame:
    """Return the accuracy on the unchanged test sentences, and after each change."""
    changed = {
        "unchanged": list(texts),
        "upper case": [text.upper() for text in texts],
        "without punctuation": [drop_punctuation(text) for text in texts],
        **{f"typing errors in {rate:.0%} of the words": add_typos_to_all(texts, rate) for rate in TYPO_RATES},
    }
    rows = [(name, measure_accuracy(module, sentences, labels)) for name, sentences in changed.items()]
    return pd.DataFrame(rows, columns=["change", "accuracy"])


def measure_accuracy(module: SentenceClassifier, texts: Sequence[str], labels: np.ndarray) -> float:
    return float((module.predict(prepare(texts, module.facts)).argmax(1) == labels).mean())


def add_typos_to_all(texts: Sequence[str], rate: float) -> list[str]:
    """Return texts with typing errors. The errors are the same in every call."""
    random = np.random.default_rng(0)
    return [add_typos(text, rate, random) for text in texts]


def drop_punctuation(text: str) -> str:
    """Return a text without punctuation marks. A text of only punctuation marks stays unchanged."""
    dropped = PUNCTUATION.sub(" ", text)
    return dropped if split_words(dropped) else text


def add_typos(text: str, rate: float, random: np.random.Generator) -> str:
    """Swap two neighbouring letters inside random words. Words with fewer than four letters stay unchanged."""
    return " ".join(
        swap_letters(word, int(random.integers(1, len(word) - 2)))
        if len(word) >= 4 and random.random() < rate
        else word
        for word in text.split()
    )


def swap_letters(word: str, position: int) -> str:
    return word[:position] + word[position + 1] + word[position] + word[position + 2 :]
