"""Save matplotlib figures as PNG files with reproducible bytes, and draw learning curves."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
import pandas as pd

matplotlib.use("Agg")

from matplotlib import pyplot as plt  # noqa: E402  (matplotlib.use must be called before pyplot is imported)
from matplotlib.figure import Figure  # noqa: E402


@contextmanager
def saved_figure(path: Path, width: float = 6.4, height: float = 4.8, **grid: Any) -> Iterator[tuple[Figure, Any]]:
    """Yield the figure and the axes of `plt.subplots`. At the end of the block, save the figure to `path`."""
    figure, axes = plt.subplots(figsize=(width, height), layout="constrained", **grid)
    try:
        yield figure, axes
        save_figure(figure, path)
    finally:
        plt.close(figure)


def save_figure(figure: Figure, path: Path) -> None:
    """Save a figure as a PNG file. The version of matplotlib is left out, so that equal figures give equal files."""
    figure.savefig(path, dpi=110, metadata={"Software": None})


def draw_curves(history: pd.DataFrame, path: Path) -> None:
    """Draw the training and validation values of each validation metric over the steps, with one panel per metric."""
    names = sorted({name.split("_", 1)[1] for name in history["name"]} & validated_metrics(history))
    with saved_figure(path, 6.4 * max(1, len(names)), 4.2, ncols=max(1, len(names)), squeeze=False) as (_, axes):
        for name, axis in zip(names, axes[0], strict=False):
            draw_metric(axis, history, name)


def tabulate_curves(history: pd.DataFrame) -> pd.DataFrame:
    """Return the training and the validation loss, with one row per validation.

    The training loss is the mean since the previous validation, so that the table is small. `dvc plots` shows it.
    """
    train, validation = (
        history[history["name"] == f"{part}_loss"].drop_duplicates("step").set_index("step")["value"]
        for part in ("train", "validation")
    )
    position = validation.index.searchsorted(train.index)  # the validation that follows each value of the training
    means = train.groupby(position).mean().reindex(range(len(validation)))
    return pd.DataFrame(
        {"step": validation.index, "train": means.to_numpy(), "validation": validation.to_numpy()}
    ).dropna()


def draw_metric(axis: Any, history: pd.DataFrame, name: str) -> None:
    """Draw the training and validation values of one metric over the steps."""
    for part, style in (("train", {"alpha": 0.7}), ("validation", {"marker": "o"})):
        rows = history[history["name"] == f"{part}_{name}"]
        if len(rows):
            axis.plot(rows["step"], rows["value"], label=part, **style)
    axis.set(xlabel="step", ylabel=name.replace("_", " "))
    axis.grid(alpha=0.3)
    axis.legend()


def validated_metrics(history: pd.DataFrame) -> set[str]:
    """Return the names of the validation metrics without the prefix `validation_`."""
    return {name.removeprefix("validation_") for name in history["name"] if name.startswith("validation_")}
