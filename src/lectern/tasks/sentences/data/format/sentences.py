"""Convert raw sentences to the word numbers that a network expects."""

import unicodedata
from collections.abc import Sequence
from functools import lru_cache

from lectern.artifacts.dataset import Facts
from lectern.errors import UserError
from lectern.tasks.sentences.data.format.vocabulary import UNKNOWN, index_words
from lectern.tasks.sentences.data.format.words import split_words


def prepare(texts: Sequence[object], facts: Facts) -> list[list[int]]:
    """Return the word numbers of each raw sentence.

    A word that is not in the vocabulary gets the number UNKNOWN. Raises UserError if a sentence is not a string, has no
    word, or has more words than the model supports.
    """
    numbers = load_word_numbers(tuple(facts["vocabulary"]))
    return [[numbers.get(word, UNKNOWN) for word in words] for words in split_sentences(texts, facts)]


def split_sentences(texts: Sequence[object], facts: Facts) -> list[list[str]]:
    """Return the words of each raw sentence. Raises UserError as `prepare` does."""
    settings, strings = facts["prepare"], [require_string(number, text) for number, text in enumerate(texts, 1)]
    sentences = [split_words(text, settings["lowercase"]) for text in strings]
    return [check_words(number, words, settings["max_words"]) for number, words in enumerate(sentences, 1)]


def require_string(number: int, text: object) -> str:
    if not isinstance(text, str):
        raise UserError(f"Sentence {number} is {text!r}; expected a string.")
    return text


def check_words(number: int, words: list[str], max_words: int) -> list[str]:
    if not any(map(is_visible, words)):
        raise UserError(f"Sentence {number} has no words. Write a sentence with at least one word.")
    if len(words) > max_words:
        raise UserError(
            f"Sentence {number} has {len(words):,} words; this model accepts at most {max_words:,}. Split it into "
            "shorter texts."
        )
    return words


def is_visible(word: str) -> bool:
    """Return whether a word contains more than control and format characters, such as a zero-width space."""
    return not all(unicodedata.category(character) in ("Cc", "Cf") for character in word)


@lru_cache(maxsize=8)
def load_word_numbers(vocabulary: tuple[str, ...]) -> dict[str, int]:
    """Return the number of each word of a vocabulary, and cache the result."""
    return index_words(vocabulary)
