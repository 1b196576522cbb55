"""Nats of a test text to what shows how far back a network remembers: the lecture's point about rnn, gru and lstm."""

import numpy as np

from lectern.tasks.language_model.report.scoring import score_afresh

WINDOW = 300  # characters after a reset
EDGES = (1, 2, 3, 4, 6, 8, 11, 16, 23, 32, 45, 64, 91, 128, 181, 256, 362, 512)  # places a picture can tell apart
PAIRS = {")": "(", "]": "[", "}": "{"}
QUOTES = "\"'"
FURTHEST = 2000  # characters after which an opening counts as a slip


def after_reset(module, ids: np.ndarray, resume_state: np.ndarray) -> dict[str, list]:
    """Mean nats by place after the state was reset, and how many more than with the state resume_state on.

    The difference is of the same characters, so it shows the worth of the past apart from what they are.
    """
    window = min(WINDOW, len(ids))
    afresh = score_afresh(module, ids, window)
    more = afresh - resume_state[: afresh.size].reshape(afresh.shape)
    bins = np.digitize(np.arange(1, window + 1), EDGES) - 1
    kept = range(bins.max() + 1)
    return {
        "place": [EDGES[part] for part in kept],
        "nats": [float(afresh[:, bins == part].mean(dtype=np.float64)) for part in kept],
        "excess": [float(more[:, bins == part].mean(dtype=np.float64)) for part in kept],
    }


def at_closing(text: str, nats: np.ndarray) -> dict[str, list]:
    """Mean nats of a closing bracket or quote by its distance to the opening one, and how many there are."""
    places, distances = find_closings(text)
    bins = np.digitize(distances, EDGES) - 1
    kept = [part for part in range(len(EDGES)) if (bins == part).any()]
    return {
        "distance": [EDGES[part] for part in kept],
        "nats": [float(nats[places[bins == part]].mean(dtype=np.float64)) for part in kept],
        "count": [int((bins == part).sum()) for part in kept],
    }


def find_closings(text: str) -> tuple[np.ndarray, np.ndarray]:
    """Where brackets and quotes close, and how far back each opened.

    A quote closes the one before it on its line unless it stands within a word, as in don't.

    >>> find_closings("f(a[0])")
    (array([5, 6]), array([2, 5]))
    """
    opened: list[tuple[str, int]] = []
    found = []
    for place, character in enumerate(text):
        if character == "\n":
            opened = [opening for opening in opened if opening[0] not in QUOTES]
        elif character in PAIRS.values() or opens_quote(text, place, opened):
            opened.append((character, place))
        elif character in PAIRS or closes_quote(text, place, opened):
            wanted = PAIRS.get(character, character)
            while opened and place - opened[0][1] > FURTHEST:
                opened.pop(0)
            if opened and opened[-1][0] == wanted:
                found.append((place, place - opened.pop()[1]))
    places = np.array(found, int).reshape(-1, 2)
    return places[:, 0], places[:, 1]


def opens_quote(text: str, place: int, opened: list[tuple[str, int]]) -> bool:
    """A quote that none of its kind is waiting for, at the start of a word."""
    character = text[place]
    return character in QUOTES and not waits(character, opened) and not text[place - 1 : place].isalnum()


def closes_quote(text: str, place: int, opened: list[tuple[str, int]]) -> bool:
    """A quote that one of its kind waits for, at the end of a word."""
    character = text[place]
    return character in QUOTES and waits(character, opened) and not text[place + 1 : place + 2].isalnum()


def waits(character: str, opened: list[tuple[str, int]]) -> bool:
    return bool(opened) and opened[-1][0] == character
