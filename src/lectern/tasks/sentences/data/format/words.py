"""Split a text into lower-case words, in the same way for raw texts and for texts that are already split."""

import re
import unicodedata

ESCAPES = {"-lrb-": "(", "-rrb-": ")", "\\/": "/", "\\*": "*", "``": '"', "''": '"', "…": "...", "’": "'", "‘": "'"}
ESCAPE = re.compile("|".join(map(re.escape, ESCAPES)))
NEGATION = re.compile(r"(?<=\w)n't\b")
CLITIC = re.compile(r"(?<=\w)\s*'\s?(?=(?:s|re|ve|d|ll|m)\b)")
WORD = re.compile(r"n't\b|'(?:s|re|ve|d|ll|m)\b|\w+(?:-\w+)*|\.{2,}|[^\w\s]")


def split_words(text: str) -> list[str]:
    """Return the words and punctuation marks of a text.

    The rules are similar to the rules of the Penn Treebank, by which the classic datasets are already split: `n't` and
    `'s` are words. Texts that are split by these rules are not changed, except that they become lower-case.

    >>> split_words("It's great, isn't it?")
    ['it', "'s", 'great', ',', 'is', "n't", 'it', '?']
    >>> split_words("it 's great , is n't it ?")
    ['it', "'s", 'great', ',', 'is', "n't", 'it', '?']
    """
    lowered = unicodedata.normalize("NFKC", text).lower()
    unescaped = ESCAPE.sub(lambda match: ESCAPES[match[0]], lowered)
    return WORD.findall(CLITIC.sub(" '", NEGATION.sub(" n't", unescaped)))


def comparison_key(text: str) -> str:
    """Return the words of a text in a form in which equal sentences are equal. Case and spaces are ignored."""
    return " ".join(split_words(text))
