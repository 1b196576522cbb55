"""Draw the confusion matrix and the calibration of a classifier."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from lectern.plotting import saved_figure


def draw_confusion(items: pd.DataFrame, classes: Sequence[str], noun: str, path: Path) -> None:
    """Draw the confusion matrix of the predictions. Only cells with mistakes are coloured.

    `noun` is the plural name of an item, such as `images`.
    """
    counts = np.zeros((len(classes), len(classes)), int)
    np.add.at(counts, (items["label"], items["prediction"]), 1)
    mistakes = np.where(np.eye(len(classes), dtype=bool), 0, counts)
    with saved_figure(path, 5.6, 5.2) as (_, axis):
        axis.imshow(mistakes, cmap="Oranges")
        for (label, prediction), count in np.ndenumerate(counts):
            if count > 0:
                dark = mistakes[label, prediction] > 0.6 * mistakes.max()
                axis.text(prediction, label, count, ha="center", va="center", fontsize=8, color="w" if dark else "k")
        axis.set(xlabel="predicted class", ylabel="true class")
        slanted = {"rotation": 30, "ha": "right"} if max(map(len, classes)) > 2 else {}
        axis.set_xticks(range(len(classes)), classes, **slanted)
        axis.set_yticks(range(len(classes)), classes)
        axis.set_title(f"{mistakes.sum():,} mistakes in {counts.sum():,} {noun}")


def tabulate_calibration(items: pd.DataFrame, bins: int = 15) -> pd.DataFrame:
    """Return the mean confidence, the accuracy and the number of items of each bin of the confidence."""
    groups = items.groupby(np.minimum((items["confidence"] * bins).astype(int), bins - 1))
    columns = {"confidence": groups["confidence"].mean(), "accuracy": groups["correct"].mean(), "items": groups.size()}
    return pd.DataFrame(columns)


def draw_calibration(items: pd.DataFrame, path: Path) -> None:
    """Draw the accuracy of a network over its confidence.

    The curve of a calibrated network is close to the diagonal.
    """
    table = tabulate_calibration(items)
    with saved_figure(path, 5.0, 5.0) as (_, axis):
        axis.plot([0, 1], [0, 1], color="gray", linewidth=1)
        axis.scatter(table["confidence"], table["accuracy"], s=5 + 20 * np.log10(table["items"]))
        axis.set(xlabel="confidence", ylabel="accuracy", xlim=(0, 1.02), ylim=(0, 1.02))
        axis.grid(alpha=0.3)
