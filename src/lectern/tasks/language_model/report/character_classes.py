"""Compute the loss of each class of characters, for example letters at the start of a word."""

import numpy as np

CHARACTER_CLASSES = ("first letter", "later letter", "capital", "digit", "space", "new line", "tab", "other")


def compute_class_losses(text: str, nats: np.ndarray, baseline_nats: np.ndarray) -> dict[str, dict[str, int | float]]:
    """Return the number of characters in each class, and the mean loss of the network and of the baseline per class."""
    classes = np.array(classify_characters(text))
    return {
        name: {
            "characters": int((classes == name).sum()),
            "nats": float(nats[classes == name].mean(dtype=np.float64)),
            "baseline": float(baseline_nats[classes == name].mean()),
        }
        for name in CHARACTER_CLASSES
        if (classes == name).any()
    }


def classify_characters(text: str) -> list[str]:
    """Return the class of each character in a text.

    First and later letters of words are separate classes, because the first letter is harder to predict.
    """
    whitespace = {" ": "space", "\n": "new line", "\t": "tab"}
    classes = []
    for previous, character in zip(" " + text, text, strict=False):
        if character.islower():
            classes.append("later letter" if previous.isalpha() or previous == "'" else "first letter")
        else:
            other = "capital" if character.isupper() else "digit" if character.isdigit() else "other"
            classes.append(whitespace.get(character, other))
    return classes
