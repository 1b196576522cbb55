"""Number the words of the training sentences."""

from collections import Counter
from collections.abc import Iterable, Sequence

PAD, UNKNOWN, MASK = 0, 1, 2
SPECIAL = ["<pad>", "<unknown>", "<mask>"]


def build_vocabulary(sentences: Iterable[Sequence[str]], size: int) -> list[str]:
    """Return the special words and the most frequent words, at most `size` words in all.

    Words with equal counts are in alphabetical order, so the result does not depend on the order of the sentences.
    """
    counts = Counter(word for words in sentences for word in words)
    ordered = sorted(counts, key=lambda word: (-counts[word], word))
    return SPECIAL + ordered[: max(0, size - len(SPECIAL))]


def index_words(vocabulary: Sequence[str]) -> dict[str, int]:
    """Return the number of each word."""
    return {word: number for number, word in enumerate(vocabulary)}
