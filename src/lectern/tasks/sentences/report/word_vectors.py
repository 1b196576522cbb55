"""Find words with similar learned vectors, and project the vectors of important words to two dimensions.

In a training, the vectors of words that do not matter for the classes stay short, so important words have long vectors.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

NEIGHBOURS = 5  # number of nearest words of a word
LISTED = 20  # number of words whose neighbours are listed
DRAWN = 120  # number of words in the picture
FREQUENT = 2000  # the vectors of rarer words are close to their random initial values


def tabulate_neighbours(vectors: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Return the nearest words, by cosine similarity, of the words with the longest vectors.

    `vectors` maps words to their vectors, and the most frequent words are first.
    """
    words, matrix = frequent_words(vectors)
    chosen = longest(matrix, LISTED)
    directions = matrix / np.maximum(np.linalg.norm(matrix, axis=1, keepdims=True), 1e-12)
    similarity = directions[chosen] @ directions.T
    similarity[np.arange(len(chosen)), chosen] = -np.inf
    nearest = np.argsort(-similarity, axis=1, kind="stable")[:, :NEIGHBOURS]
    return pd.DataFrame(
        {
            "word": [words[number] for number in chosen],
            "nearest_words": [", ".join(words[other] for other in others) for others in nearest],
            "cosine": similarity[np.arange(len(chosen)), nearest[:, 0]],
        }
    )


def project_words(vectors: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Return the first two principal components of the longest vectors, in the columns `x`, `y` and `word`."""
    words, matrix = frequent_words(vectors)
    chosen = longest(matrix, DRAWN)
    centred = matrix[chosen] - matrix[chosen].mean(0)
    components, scales, _ = np.linalg.svd(centred, full_matrices=False)
    points = components[:, :2] * scales[:2]
    signs = np.where(points[np.abs(points).argmax(0), [0, 1]] < 0, -1, 1)  # the signs of components are arbitrary
    return pd.DataFrame(points * signs, columns=["x", "y"]).assign(word=[words[number] for number in chosen])


def frequent_words(vectors: Mapping[str, np.ndarray]) -> tuple[list[str], np.ndarray]:
    """Return the most frequent words that consist of letters, and their vectors."""
    words = [word for word in list(vectors)[:FREQUENT] if word.isalpha()]
    return words, np.stack([vectors[word] for word in words])


def longest(matrix: np.ndarray, count: int) -> np.ndarray:
    """Return the rows with the largest norms."""
    return np.argsort(-np.linalg.norm(matrix, axis=1), kind="stable")[:count]
