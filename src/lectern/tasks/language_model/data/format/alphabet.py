"""TODO: lectern.tasks.language_model.data.format.alphabet."""

import unicodedata

import numpy as np

from lectern.artifacts.dataset import Facts

UNKNOWN = 0  # the id of every character that the alphabet lacks


REPLACEMENT = "\N{REPLACEMENT CHARACTER}"  # what an unknown character is written as


def prepare(text: str, facts: Facts) -> np.ndarray:
    """A text to the ids that the network takes, uint16; what the alphabet lacks becomes UNKNOWN.

    >>> prepare("abé", {"alphabet": "ab", "prepare": {"normal_form": "NFC"}})
    array([1, 2, 0], dtype=uint16)
    """
    points = np.frombuffer(normalise(text, **facts["prepare"]).encode("utf-32-le"), np.uint32)
    alphabet = np.frombuffer(facts["alphabet"].encode("utf-32-le"), np.uint32)
    place = np.searchsorted(alphabet, points).clip(max=len(alphabet) - 1)
    return np.where(alphabet[place] == points, place + 1, UNKNOWN).astype(np.uint16)


def normalise(text: str, normal_form: str) -> str:
    """One way to write a line's end and an accent."""
    return unicodedata.normalize(normal_form, text.replace("\r\n", "\n").replace("\r", "\n"))


def decode(ids: np.ndarray, facts: Facts) -> str:
    """Ids back to their characters."""
    characters = REPLACEMENT + facts["alphabet"]
    return "".join(characters[number] for number in ids)


def unknown_characters(text: str, facts: Facts) -> list[str]:
    """The characters of a text that the network has never seen, and reads as one and the same."""
    return sorted(set(normalise(text, **facts["prepare"])) - set(facts["alphabet"]))
