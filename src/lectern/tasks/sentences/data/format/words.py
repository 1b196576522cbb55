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
    """Return the letters and digits of a text, without case, spaces and accents. Equal keys mean equal sentences.

    The datasets split and punctuate the same sentence in different ways. A text without letters and digits is its own
    key.

    >>> comparison_key("It's a café -- good !") == comparison_key("it ' s a cafe , good")
    True
    """
    decomposed = unicodedata.normalize("NFKD", ESCAPE.sub(lambda match: ESCAPES[match[0].lower()], text)).casefold()
    return "".join(character for character in decomposed if character.isalnum()) or text.strip()
