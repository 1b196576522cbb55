"""A figure to a PNG whose bytes depend on what is drawn only; and the curves that every training has."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib
import pandas as pd

matplotlib.use("Agg")

from matplotlib import pyplot as plt  # noqa: E402  (after the backend is chosen)
from matplotlib.figure import Figure  # noqa: E402


@contextmanager
def saved_figure(path: Path, width: float = 6.4, height: float = 4.8, **grid) -> Iterator[tuple]:
    """Yields (figure, axes) of `plt.subplots`, and saves the figure to `path` at the end."""
    figure, axes = plt.subplots(figsize=(width, height), layout="constrained", **grid)
    try:
        yield figure, axes
        save(figure, path)
    finally:
        plt.close(figure)


def save(figure: Figure, path: Path) -> None:
    figure.savefig(path, dpi=110, metadata={"Software": None})


def draw_curves(history: pd.DataFrame, path: Path) -> None:
    """Every value that was measured in training and in validation, one pair a panel, over steps."""
    names = sorted({name.split("_", 1)[1] for name in history["name"]} & _validated(history))
    with saved_figure(path, 6.4 * max(1, len(names)), 4.2, ncols=max(1, len(names)), squeeze=False) as (_, axes):
        for name, axis in zip(names, axes[0], strict=False):
            for part, style in (("train", {"alpha": 0.7}), ("validation", {"marker": "o"})):
                rows = history[history["name"] == f"{part}_{name}"]
                if len(rows):
                    axis.plot(rows["step"], rows["value"], label=part, **style)
            axis.set(xlabel="step", ylabel=name.replace("_", " "))
            axis.grid(alpha=0.3)
            axis.legend()


def _validated(history: pd.DataFrame) -> set[str]:
    return {name.removeprefix("validation_") for name in history["name"] if name.startswith("validation_")}
