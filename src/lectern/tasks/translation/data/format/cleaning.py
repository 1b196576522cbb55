"""A sentence as somebody typed it to one in normal form, and a count of what was wrong with a corpus."""

import html
import re
import unicodedata
from collections.abc import Callable, Iterable

INVISIBLE = re.compile("[\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060\ufeff]")  # soft hyphens, zero widths, directions
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")  # control characters, and halves of surrogate pairs

DIRT: dict[str, Callable[[str], bool]] = {
    "html_entities": lambda text: html.unescape(text) != text,
    "no_break_spaces": lambda text: bool(re.search("[\u00a0\u202f]", text)),
    "invisible_characters": lambda text: bool(INVISIBLE.search(text)),
    "tabs_and_control_characters": lambda text: bool(CONTROL.search(text)),
    "spaces_at_an_end": lambda text: text != text.strip(),
    "runs_of_spaces": lambda text: "  " in text.strip(),
    "other_unicode_forms": lambda text: unicodedata.normalize("NFKC", text) != text.replace("\u00a0", " "),
}


def normalise(text: str) -> str:
    """HTML entities read, Unicode form NFKC, nothing invisible, words parted by one space.

    >>> normalise(" A&amp;B\\u00a0is  here.\\t")
    'A&B is here.'
    """
    text = unicodedata.normalize("NFKC", html.unescape(text)).replace("▁", "_")  # the vocabulary's sign for a space
    return " ".join(CONTROL.sub(" ", INVISIBLE.sub("", text)).split())


def count_dirt(texts: Iterable[str]) -> dict[str, int]:
    """How many sentences have each kind of dirt that `normalise` takes away."""
    texts = list(texts)
    return {name: sum(map(is_dirty, texts)) for name, is_dirty in DIRT.items()}
