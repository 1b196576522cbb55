"""Split text into words, including text in scripts without spaces between words."""

import re
from collections.abc import Iterable

# Thai, Lao, Tibetan, Burmese, Khmer, Hiragana, Katakana and Han
UNSPACED = (
    "\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
WORD = re.compile(rf"[{UNSPACED}]|[^\W{UNSPACED}]+(?:-[^\W{UNSPACED}]+)*")
UNHYPHENATED_WORD = re.compile(rf"[{UNSPACED}]|[^\W{UNSPACED}]+")
UNSPACED_LETTER = re.compile(rf"[{UNSPACED}]")


def is_unspaced(text: str) -> bool:
    """Return whether a text starts with a character of a script without spaces between words."""
    return bool(UNSPACED_LETTER.match(text))


def count_words(text: str) -> int:
    """Count the words between spaces. Each character of a script without spaces counts as one word."""
    return len(UNSPACED_LETTER.sub(" x ", text).split())


def share_of_unspaced_letters(texts: Iterable[str]) -> float:
    """Return the share of letters and digits that belong to a script without spaces between words."""
    words = [word for text in texts for word in WORD.findall(text)]
    return sum(map(is_unspaced, words)) / max(1, sum(map(len, words)))
