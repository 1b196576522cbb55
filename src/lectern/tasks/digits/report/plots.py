"""Draw the plots of the report: the confusion matrix, the worst mistakes and the calibration."""

from pathlib import Path

import numpy as np
import pandas as pd

from lectern.plotting import saved_figure
from lectern.tasks.digits.data.format.images import NUM_CLASSES


def draw_confusion(items: pd.DataFrame, path: Path) -> None:
    """Draw the confusion matrix of the predictions. Only cells with mistakes are coloured."""
    counts = np.zeros((NUM_CLASSES, NUM_CLASSES), int)
    np.add.at(counts, (items["label"], items["prediction"]), 1)
    mistakes = np.where(np.eye(NUM_CLASSES, dtype=bool), 0, counts)
    with saved_figure(path, 5.6, 5.2) as (_, axis):
        axis.imshow(mistakes, cmap="Oranges")
        for (label, prediction), count in np.ndenumerate(counts):
            if count > 0:
                dark = mistakes[label, prediction] > 0.6 * mistakes.max()
                axis.text(prediction, label, count, ha="center", va="center", fontsize=8, color="w" if dark else "k")
        axis.set(xlabel="predicted digit", ylabel="true digit", xticks=range(NUM_CLASSES), yticks=range(NUM_CLASSES))
        axis.set_title(f"{mistakes.sum()} mistakes in {counts.sum():,} images")


def draw_mistakes(images: np.ndarray, items: pd.DataFrame, path: Path) -> None:
    """Draw the 32 wrongly classified images with the highest confidence.

    The title `4 as 9, 97%` means that a 4 was classified as a 9 with a confidence of 97 %.
    """
    worst = items[~items["correct"]].nlargest(32, "confidence")
    with saved_figure(path, 9.0, 5.2, nrows=4, ncols=8) as (figure, axes):
        figure.suptitle("Mistakes with the highest confidence" if len(worst) else "No mistakes")
        for axis in axes.flat:
            axis.axis("off")
        for axis, row in zip(axes.flat, worst.itertuples(), strict=False):
            axis.imshow(images[row.item], cmap="gray_r")
            axis.set_title(f"{row.label} as {row.prediction}, {row.confidence:.0%}", fontsize=8)


def tabulate_calibration(items: pd.DataFrame, bins: int = 15) -> pd.DataFrame:
    """Return the mean confidence, the accuracy and the number of images of each bin of the confidence."""
    groups = items.groupby(np.minimum((items["confidence"] * bins).astype(int), bins - 1))
    columns = {"confidence": groups["confidence"].mean(), "accuracy": groups["correct"].mean(), "images": groups.size()}
    return pd.DataFrame(columns)


def draw_calibration(items: pd.DataFrame, path: Path) -> None:
    """Draw the accuracy of a network over its confidence.

    The curve of a calibrated network is close to the diagonal.
    """
    table = tabulate_calibration(items)
    with saved_figure(path, 5.0, 5.0) as (_, axis):
        axis.plot([0, 1], [0, 1], color="gray", linewidth=1)
        axis.scatter(table["confidence"], table["accuracy"], s=5 + 20 * np.log10(table["images"]))
        axis.set(xlabel="confidence", ylabel="accuracy", xlim=(0, 1.02), ylim=(0, 1.02))
        axis.grid(alpha=0.3)
