"""Split a text into words, in the same way for raw texts and for texts that are already split."""

import re
import unicodedata

ESCAPES = {"-lrb-": "(", "-rrb-": ")", "\\/": "/", "\\*": "*", "``": '"', "''": '"', "…": "...", "’": "'", "‘": "'"}
ESCAPE = re.compile("|".join(map(re.escape, ESCAPES)), re.IGNORECASE)
NEGATION = re.compile(r"(?<=\w)n't\b", re.IGNORECASE)
CLITIC = re.compile(r"(?<=\w)\s*'\s?(?=(?:s|re|ve|d|ll|m)\b)", re.IGNORECASE)
WORD = re.compile(r"n't\b|'(?:s|re|ve|d|ll|m)\b|\w+(?:-\w+)*|\.{2,}|[^\w\s]", re.IGNORECASE)


def split_words(text: str, lowercase: bool = True) -> list[str]:
    """Return the words and punctuation marks of a text, in lower case by default.

    The rules are similar to the rules of the Penn Treebank, by which the classic datasets are already split: `n't` and
    `'s` are words. Texts that are split by these rules are not changed, except for the case.

    >>> split_words("It's great, isn't it?")
    ['it', "'s", 'great', ',', 'is', "n't", 'it', '?']
    >>> split_words("it 's great , is n't it ?")
    ['it', "'s", 'great', ',', 'is', "n't", 'it', '?']
    """
    normalized = unicodedata.normalize("NFKC", text)
    cased = normalized.lower() if lowercase else normalized
    unescaped = ESCAPE.sub(lambda match: ESCAPES[match[0].lower()], cased)
    return WORD.findall(CLITIC.sub(" '", NEGATION.sub(lambda match: f" {match[0]}", unescaped)))


def comparison_key(text: str) -> str:
    """Return the words of a text in a form in which equal sentences are equal. Case and spaces are ignored."""
    return " ".join(split_words(text))
