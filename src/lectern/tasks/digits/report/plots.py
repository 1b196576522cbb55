"""Predictions on test images to pictures: who is taken for whom, the worst mistakes, how far to trust confidence."""

from pathlib import Path

import numpy as np
import pandas as pd

from lectern.plotting import saved_figure
from lectern.tasks.digits.data.format.images import CLASSES


def draw_confusion(items: pd.DataFrame, path: Path) -> None:
    """Rows what an image is, columns what it was taken for; the diagonal has no colour: mistakes stand out."""
    counts = np.zeros((CLASSES, CLASSES), int)
    np.add.at(counts, (items["label"], items["prediction"]), 1)
    mistakes = np.where(np.eye(CLASSES, dtype=bool), 0, counts)
    with saved_figure(path, 5.6, 5.2) as (_, axis):
        axis.imshow(mistakes, cmap="Oranges")
        for (label, prediction), count in np.ndenumerate(counts):
            if count > 0:
                dark = mistakes[label, prediction] > 0.6 * mistakes.max()
                axis.text(prediction, label, count, ha="center", va="center", fontsize=8, color="w" if dark else "k")
        axis.set(xlabel="taken for", ylabel="is", xticks=range(CLASSES), yticks=range(CLASSES))
        axis.set_title(f"{mistakes.sum()} mistakes in {counts.sum():,} images")


def draw_mistakes(images: np.ndarray, probabilities: np.ndarray, items: pd.DataFrame, path: Path) -> None:
    """The 32 mistakes that the network was surest of: `4 for 9, 97 %` is a nine that was taken for a four."""
    worst = items[~items["correct"]].nlargest(32, "confidence")
    with saved_figure(path, 9.0, 5.2, nrows=4, ncols=8) as (figure, axes):
        figure.suptitle("The mistakes it was surest of" if len(worst) else "No mistakes")
        for axis in axes.flat:
            axis.axis("off")
        for axis, row in zip(axes.flat, worst.itertuples(), strict=False):
            axis.imshow(images[row.item], cmap="gray_r")
            axis.set_title(f"{row.prediction} for {row.label}, {row.confidence:.0%}", fontsize=8)


def draw_calibration(items: pd.DataFrame, path: Path, bins: int = 15) -> None:
    """How often the network is right against how sure it says it is."""
    bucket = np.minimum((items["confidence"] * bins).astype(int), bins - 1)
    groups = items.groupby(bucket)
    with saved_figure(path, 5.0, 5.0) as (_, axis):
        axis.plot([0, 1], [0, 1], color="gray", linewidth=1)
        axis.scatter(groups["confidence"].mean(), groups["correct"].mean(), s=5 + 20 * np.log10(groups.size()))
        axis.set(xlabel="confidence", ylabel="share that was right", xlim=(0, 1.02), ylim=(0, 1.02))
        axis.grid(alpha=0.3)
