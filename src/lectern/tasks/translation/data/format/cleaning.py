"""Normalise sentences, and count the defects that the normalisation removes."""

import html
import re
import unicodedata
from collections.abc import Callable, Iterable

# INVISIBLE contains soft hyphens, zero-width characters and direction marks.
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
    """Decode HTML entities, apply Unicode form NFKC, remove invisible characters and collapse whitespace.

    >>> normalize(" A&amp;B\\u00a0is  here.\\t")
    'A&B is here.'
    """
    text = unicodedata.normalize("NFKC", html.unescape(text)).replace("▁", "_")  # "▁" marks a space in the vocabulary
    return " ".join(CONTROL.sub(" ", INVISIBLE.sub("", text)).split())


def count_defects(texts: Iterable[str]) -> dict[str, int]:
    """Count the sentences that have each kind of defect."""
    texts = list(texts)
    return {name: sum(map(has_defect, texts)) for name, has_defect in DEFECTS.items()}
