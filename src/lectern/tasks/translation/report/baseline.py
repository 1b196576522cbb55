"""What needs no network: sentences left as they are, and sentences translated word by word."""

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from lectern.artifacts.dataset import read_facts
from lectern.tasks.translation.report import baseline
from lectern.tasks.translation.report.scoring import score, tabulate

WORD = re.compile(r"\w+(?:-\w+)*")


def copy(sources: Iterable[str]) -> list[str]:
    """Names and numbers are the same in most languages."""
    return list(sources)


def word_by_word(train: pd.DataFrame, sources: Iterable[str]) -> list[str]:
    """Each word by the one it most often shares a pair with in the training data, for how common both are (Dice).

    Punctuation stays as it is, and so does a word that the training data does not have.
    """
    lexicon = learn_lexicon(train)
    return [WORD.sub(lambda match: lexicon.get(match[0], match[0]), text.lower()) for text in sources]


def learn_lexicon(train: pd.DataFrame) -> dict[str, str]:
    """Source word to target word."""
    (sources, source_of), (targets, target_of) = (number(train[side]) for side in ("source", "target"))
    both = np.concatenate(
        [np.add.outer(one * len(targets), other).ravel() for one, other in zip(source_of, target_of, strict=True)]
    )
    keys, together = np.unique(both, return_counts=True)
    source, target = keys // len(targets), keys % len(targets)
    often = [np.bincount(np.concatenate(rows)) for rows in (source_of, target_of)]
    likeness = 2 * together / (often[0][source] + often[1][target])
    best = np.lexsort((target, -likeness, source))
    first = best[np.unique(source[best], return_index=True)[1]]
    return {sources[source[row]]: targets[target[row]] for row in first}


def number(texts: Iterable[str]) -> tuple[list[str], list[np.ndarray]]:
    """All words, and the numbers of the different words of each text."""
    found = [dict.fromkeys(WORD.findall(text.lower())) for text in texts]
    known = {word: index for index, word in enumerate(dict.fromkeys(word for words in found for word in words))}
    return list(known), [np.array([known[word] for word in words], int) for words in found]


def score_baseline(processed: Path) -> float:
    """The better of two translations without a network: the source as it is, and word by word."""
    return max(score_baselines(processed).values())


def score_baselines(processed: Path) -> dict[str, float]:
    """The score of each baseline, learned from the training split alone."""
    facts = read_facts(processed)
    train = pd.read_parquet(processed / "train.parquet", columns=["source", "target"])
    sources, references = read_tests(processed)[facts["scored_test"]]
    found = {"copy": baseline.copy(sources), "word_by_word": baseline.word_by_word(train, sources)}
    return {name: score(tabulate(facts["score"], sources, texts, references)) for name, texts in found.items()}


def read_tests(processed: Path) -> dict[str, tuple[list[str], list[str]]]:
    """Raw sources and references of each test."""
    tests = pd.read_parquet(processed / "test.parquet").groupby("test", sort=False)
    return {name: (rows["source"].tolist(), rows["target"].tolist()) for name, rows in tests}
