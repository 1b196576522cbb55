"""Score two baselines that use no network.

The first baseline copies the source sentence. The second baseline translates the source sentence word by word.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from lectern.artifacts.dataset import read_facts
from lectern.tasks.translation.data.format.cleaning import normalize
from lectern.tasks.translation.data.format.words import WORD
from lectern.tasks.translation.report.scoring import score, tabulate_items


def score_baseline(processed: Path) -> float:
    """Return the score of the better of the two baselines."""
    return max(score_baselines(processed).values())


def score_baselines(processed: Path) -> dict[str, float]:
    """Return the score of each baseline on the first test set. Models are scored on the same test set.

    The lexicon of the word-by-word baseline is computed from the training split.
    """
    facts = read_facts(processed)
    train = pd.read_parquet(processed / "train.parquet", columns=["source", "target"])
    sources, references = read_tests(processed)[facts["scored_test"]]
    translations = {"copy": sources, "word_by_word": translate_word_by_word(train, sources)}
    return {
        name: score(tabulate_items(facts["score"], facts["languages"]["target"], sources, texts, references))
        for name, texts in translations.items()
    }


def read_tests(processed: Path) -> dict[str, tuple[list[str], list[str]]]:
    """Return the raw source sentences and the normalized references of each test set.

    A model is trained on normalized targets, so it returns normalized translations. The references are normalized in
    the same way, so that a translation that equals the reference always counts as correct.
    """
    tests = pd.read_parquet(processed / "test.parquet").groupby("test", sort=False)
    return {name: (rows["source"].tolist(), [normalize(text) for text in rows["target"]]) for name, rows in tests}


def translate_word_by_word(train: pd.DataFrame, sources: Iterable[str]) -> list[str]:
    """Return the source sentences with each word replaced by its target word in the lexicon of `learn_lexicon`.

    Punctuation, and words that are not in the lexicon, stay unchanged.
    """
    lexicon = learn_lexicon(train)
    return [WORD.sub(lambda match: lexicon.get(match[0], match[0]), text.lower()) for text in sources]


def learn_lexicon(train: pd.DataFrame) -> dict[str, str]:
    """Return a dict that maps each source word to the target word with the highest Dice coefficient.

    The Dice coefficient is 2 * (pairs with both words) / (pairs with the source word + pairs with the target word).
    """
    (sources, source_rows), (targets, target_rows) = (index_words(train[side]) for side in ("source", "target"))
    word_pairs = np.concatenate(
        [
            np.add.outer(row * len(targets), target_row).ravel()
            for row, target_row in zip(source_rows, target_rows, strict=True)
        ]
    )
    unique_pairs, pair_counts = np.unique(word_pairs, return_counts=True)
    source, target = unique_pairs // len(targets), unique_pairs % len(targets)
    source_counts, target_counts = (np.bincount(np.concatenate(rows)) for rows in (source_rows, target_rows))
    dice = 2 * pair_counts / (source_counts[source] + target_counts[target])
    order = np.lexsort((target, -dice, source))
    best = order[np.unique(source[order], return_index=True)[1]]
    return {sources[source[index]]: targets[target[index]] for index in best}


def index_words(texts: Iterable[str]) -> tuple[list[str], list[np.ndarray]]:
    """Return the list of all words, and for each text the indices of its different words in this list."""
    distinct_words = [dict.fromkeys(WORD.findall(text.lower())) for text in texts]
    vocabulary = dict.fromkeys(word for words in distinct_words for word in words)
    indices = {word: index for index, word in enumerate(vocabulary)}
    return list(indices), [np.array([indices[word] for word in words], int) for words in distinct_words]
