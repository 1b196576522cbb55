"""Normalise sentences, and count the defects that the normalisation removes."""

import html
import re
import unicodedata
from collections.abc import Callable, Iterable

# soft hyphens, zero-width characters and direction marks
INVISIBLE = re.compile("[\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060\ufeff]")
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")  # control characters and unpaired surrogates

DEFECTS: dict[str, Callable[[str], bool]] = {
    "html_entities": lambda text: html.unescape(text) != text,
    "no_break_spaces": lambda text: bool(re.search("[\u00a0\u202f]", text)),
    "invisible_characters": lambda text: bool(INVISIBLE.search(text)),
    "control_characters": lambda text: bool(CONTROL.search(text)),
    "leading_or_trailing_spaces": lambda text: text != text.strip(),
    "repeated_spaces": lambda text: "  " in text.strip(),
    "not_in_unicode_form_nfkc": lambda text: unicodedata.normalize("NFKC", text) != text.replace("\u00a0", " "),
}


def normalize(text: str) -> str:
    """Return a sentence in Unicode form NFKC, without HTML entities, invisible characters and repeated whitespace.

    >>> normalize(" A&amp;B\\u00a0is  here.\\t")
    'A&B is here.'
    """
    text = unicodedata.normalize("NFKC", html.unescape(text)).replace("▁", "_")  # the vocabulary uses "▁" for spaces
    return " ".join(CONTROL.sub(" ", INVISIBLE.sub("", text)).split())


def count_defects(texts: Iterable[str]) -> dict[str, int]:
    """Return for each kind of defect the number of sentences that have the defect."""
    texts = list(texts)
    return {name: sum(map(has_defect, texts)) for name, has_defect in DEFECTS.items()}
