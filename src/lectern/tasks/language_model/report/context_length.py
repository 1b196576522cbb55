"""Measure how much context a network uses, for example to compare RNN, GRU and LSTM layers."""

from typing import TYPE_CHECKING

import numpy as np

from lectern.tasks.language_model.report.scoring import score_with_reset

if TYPE_CHECKING:
    from lectern.tasks.language_model.model.module import CharacterModel

Curve = dict[str, list[int] | list[float]]  # maps names to lists of equal length

WINDOW_LENGTH = 300  # number of characters after a reset of the network's state
# Edges of the bins for positions and distances in characters, with about equal widths on a logarithmic axis.
BIN_EDGES = (1, 2, 3, 4, 6, 8, 11, 16, 23, 32, 45, 64, 91, 128, 181, 256, 362, 512)
OPENING_BRACKETS = {")": "(", "]": "[", "}": "{"}
QUOTES = "\"'"
# maximum distance in characters; a bracket that is open for more characters is treated as an error in the text
MAX_DISTANCE = 2000


def loss_after_reset(module: "CharacterModel", ids: np.ndarray, nats: np.ndarray) -> Curve:
    """Return the mean loss by position after a reset of the state, and its excess over the loss without a reset.

    `nats` is the loss without a reset. The excess is the difference between two losses of the same character, so it
    does not depend on how difficult the character is to predict.
    """
    window = min(WINDOW_LENGTH, len(ids))
    reset_nats = score_with_reset(module, ids, window)
    excess = reset_nats - nats[: reset_nats.size].reshape(reset_nats.shape)
    bins = np.digitize(np.arange(1, window + 1), BIN_EDGES) - 1
    used = range(bins.max() + 1)
    return {
        "position": [BIN_EDGES[bin_] for bin_ in used],
        "nats": [float(reset_nats[:, bins == bin_].mean(dtype=np.float64)) for bin_ in used],
        "excess": [float(excess[:, bins == bin_].mean(dtype=np.float64)) for bin_ in used],
    }


def loss_by_bracket_distance(text: str, nats: np.ndarray) -> Curve:
    """Return the mean loss and the number of closing brackets and quotes, by the distance to the opening character."""
    positions, distances = find_closing_characters(text)
    bins = np.digitize(distances, BIN_EDGES) - 1
    used = [bin_ for bin_ in range(len(BIN_EDGES)) if (bins == bin_).any()]
    return {
        "distance": [BIN_EDGES[bin_] for bin_ in used],
        "nats": [float(nats[positions[bins == bin_]].mean(dtype=np.float64)) for bin_ in used],
        "count": [int((bins == bin_).sum()) for bin_ in used],
    }


def find_closing_characters(text: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions of closing brackets and quotes in a text, and their distances to the opening characters.

    A quotation must be closed on the line on which it was opened. A quotation mark within a word, as in don't, is
    ignored.

    >>> find_closing_characters("f(a[0])")
    (array([5, 6]), array([2, 5]))
    """
    opened: list[tuple[str, int]] = []
    closings = []
    for position, character in enumerate(text):
        if character == "\n":
            opened = [opening for opening in opened if opening[0] not in QUOTES]
        elif character in OPENING_BRACKETS.values() or opens_quote(text, position, opened):
            opened.append((character, position))
        elif character in OPENING_BRACKETS or closes_quote(text, position, opened):
            opening = OPENING_BRACKETS.get(character, character)
            while opened and position - opened[0][1] > MAX_DISTANCE:
                opened.pop(0)
            if is_last_opened(opening, opened):
                closings.append((position, position - opened.pop()[1]))
    pairs = np.array(closings, int).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


def opens_quote(text: str, position: int, opened: list[tuple[str, int]]) -> bool:
    """Return whether the character at `position` opens a quotation.

    Such a character is a quotation mark at the start of a word, and does not close an open quotation.
    """
    character = text[position]
    starts_word = not text[position - 1 : position].isalnum()
    return character in QUOTES and not is_last_opened(character, opened) and starts_word


def closes_quote(text: str, position: int, opened: list[tuple[str, int]]) -> bool:
    """Return whether the character at `position` closes the last open quotation.

    Such a character is a quotation mark at the end of a word.
    """
    character = text[position]
    ends_word = not text[position + 1 : position + 2].isalnum()
    return character in QUOTES and is_last_opened(character, opened) and ends_word


def is_last_opened(character: str, opened: list[tuple[str, int]]) -> bool:
    return bool(opened) and opened[-1][0] == character
