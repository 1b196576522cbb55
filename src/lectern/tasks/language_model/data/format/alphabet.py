"""Convert between text and the character ids that a network reads."""

import unicodedata
from typing import Literal

import numpy as np

from lectern.artifacts.dataset import Facts

UNKNOWN_ID = 0  # ID of all characters that are not in the alphabet
REPLACEMENT_CHARACTER = "\N{REPLACEMENT CHARACTER}"  # the text of UNKNOWN_ID

NormalForm = Literal["NFC", "NFD", "NFKC", "NFKD"]


def encode(text: str, facts: Facts) -> np.ndarray:
    """Return the character ids (uint16) of a text. A character that is not in the alphabet becomes UNKNOWN_ID.

    >>> encode("abé", {"alphabet": "ab", "prepare": {"normal_form": "NFC"}})
    array([1, 2, 0], dtype=uint16)
    """
    code_points = np.frombuffer(normalize(text, **facts["prepare"]).encode("utf-32-le"), np.uint32)
    alphabet = np.frombuffer(facts["alphabet"].encode("utf-32-le"), np.uint32)
    index = np.searchsorted(alphabet, code_points).clip(max=len(alphabet) - 1)
    return np.where(alphabet[index] == code_points, index + 1, UNKNOWN_ID).astype(np.uint16)


def normalize(text: str, normal_form: NormalForm) -> str:
    r"""Return a text in a Unicode normal form, with `\n` as the only line ending."""
    return unicodedata.normalize(normal_form, text.replace("\r\n", "\n").replace("\r", "\n"))


def decode(ids: np.ndarray, facts: Facts) -> str:
    """Return the text of character ids."""
    characters = REPLACEMENT_CHARACTER + facts["alphabet"]
    return "".join(characters[character_id] for character_id in ids)


def find_unknown_characters(text: str, facts: Facts) -> list[str]:
    """Return the sorted characters of a text that are missing in the alphabet."""
    return sorted(set(normalize(text, **facts["prepare"])) - set(facts["alphabet"]))
