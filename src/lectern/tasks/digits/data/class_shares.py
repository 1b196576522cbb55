"""Select validation images with the class shares of the training file, and compare the class shares of splits."""

from collections.abc import Mapping

import numpy as np

from lectern.errors import UserError
from lectern.tasks.digits.data.format.images import NUM_CLASSES

MAX_DISTANCE = 0.25  # largest allowed difference of the class shares of two splits, from 0 to 1
MIN_IMAGES = 100  # minimum size of a compared split; in a smaller split, the class shares vary by chance


def last_of_each_class(labels: np.ndarray, count: int) -> np.ndarray:
    """Return the sorted indices of the last images of each class.

    In total, `count` images are selected, and they have the class shares of `labels`.
    """
    exact = np.bincount(labels, minlength=NUM_CLASSES) * count / len(labels)
    counts = np.floor(exact).astype(int)
    largest_remainders = np.argsort(counts - exact, kind="stable")[: count - counts.sum()]
    counts[largest_remainders] += 1
    chosen = [np.flatnonzero(labels == digit)[-number:] for digit, number in enumerate(counts) if number]
    return np.sort(np.concatenate(chosen))


def check_class_shares(labels: Mapping[str, np.ndarray]) -> None:
    """Raise UserError if a split lacks a class that another split has, or if the class shares differ very much.

    `labels` maps the name of each split to the labels of the split.
    """
    counts = {split: np.bincount(values, minlength=NUM_CLASSES) for split, values in labels.items()}
    present = np.any(list(counts.values()), axis=0)
    for split, numbers in counts.items():
        missing = np.flatnonzero(present & (numbers == 0)).tolist()
        if missing:
            digits = ", ".join(map(str, missing))
            raise UserError(f"The {split} split has no image of the digits {digits}. {describe(counts)} {REMEDY}")
        train = counts["train"]
        distance = np.abs(numbers / numbers.sum() - train / train.sum()).sum() / 2
        if distance > MAX_DISTANCE and numbers.sum() >= MIN_IMAGES:
            raise UserError(
                f"The shares of the digits in the {split} split differ by {distance:.0%} from the shares in the train "
                f"split; at most {MAX_DISTANCE:.0%} is allowed. {describe(counts)} {REMEDY}"
            )


def describe(counts: Mapping[str, np.ndarray]) -> str:
    """Return the number of images of each digit in each split."""
    rows = (f"{split}: {', '.join(map(str, numbers))}" for split, numbers in counts.items())
    return f"Images of the digits 0 to 9: {'; '.join(rows)}."


REMEDY = (
    "If the training images are sorted by label, set preprocess.stratified to true, so that the validation split gets "
    "the last images of each digit. If the test images are wrong, replace the test files."
)
