"""Compute how much each word of a sentence matters for the predicted class."""

from collections.abc import Sequence

import numpy as np

from lectern.tasks.sentences.data.format.vocabulary import UNKNOWN
from lectern.tasks.sentences.model.module import SentenceClassifier

MAX_WORDS = 64  # words beyond this number are not explained, because each word costs one prediction


def occlude_words(module: SentenceClassifier, words: Sequence[int]) -> np.ndarray:
    """Return by how much the probability of the predicted class falls if a word is unknown (arXiv:1311.2901).

    A positive value means that the word speaks for the predicted class. The result has one value per word, for at most
    the first 64 words.
    """
    count = min(len(words), MAX_WORDS)
    occluded = [
        [UNKNOWN if index == position else word for index, word in enumerate(words)] for position in range(count)
    ]
    probabilities = module.predict([list(words), *occluded])
    predicted = int(probabilities[0].argmax())
    importance: np.ndarray = probabilities[0, predicted] - probabilities[1:, predicted]
    return importance
