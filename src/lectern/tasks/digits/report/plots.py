"""Draw the mistakes of a digit classifier."""

from pathlib import Path

import numpy as np
import pandas as pd

from lectern.plotting import saved_figure


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
