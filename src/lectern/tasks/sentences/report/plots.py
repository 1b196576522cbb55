"""Draw the accuracy on groups of sentences, the attention weights of sentences, and a map of words."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes

from lectern.plotting import saved_figure

LINE_CHARACTERS = 90
MAX_WORDS = 40


def draw_slices(table: pd.DataFrame, baseline: float, path: Path) -> None:
    """Draw the accuracy of each group of sentences with its 95 % interval, and the baseline."""
    position = np.arange(len(table))[::-1]
    with saved_figure(path, 7.0, 0.9 + 0.34 * len(table)) as (_, axis):
        spread = [table["accuracy"] - table["low"], table["high"] - table["accuracy"]]
        axis.errorbar(table["accuracy"], position, xerr=np.maximum(spread, 0), fmt="o", capsize=3)
        axis.axvline(baseline, color="gray", linestyle="--", linewidth=1, label="most frequent class")
        labels = [f"{row.slice} ({row.sentences:,})" for row in table.itertuples()]
        axis.set_yticks(position, labels)
        axis.set(xlabel="accuracy, with 95 % interval", ylim=(-0.5, len(table) - 0.5))
        axis.grid(alpha=0.3, axis="x")
        axis.legend(loc="upper center", bbox_to_anchor=(0.5, 1.12), frameon=False)


def draw_attention(sentences: Sequence[tuple[str, list[str], np.ndarray]], path: Path) -> None:
    """Draw the attention weight of each word of a few sentences. A darker word has a larger weight.

    Each sentence is (title, words, weights).
    """
    with saved_figure(path, 9.0, 1.15 * len(sentences), nrows=len(sentences), squeeze=False) as (_, axes):
        for axis, (title, words, weights) in zip(axes[:, 0], sentences, strict=True):
            axis.set_title(title, fontsize=9, loc="left")
            axis.set(xlim=(0, LINE_CHARACTERS), ylim=(-1.6, 0.6))
            axis.axis("off")
            draw_words(axis, words[:MAX_WORDS], weights / weights.max())


def draw_words(axis: Axes, words: Sequence[str], strengths: np.ndarray) -> None:
    """Write words in lines, on backgrounds whose colours show the strengths from 0 to 1."""
    column, line = 0, 0.0
    for word, strength in zip(words, strengths, strict=False):
        if column + len(word) > LINE_CHARACTERS:
            column, line = 0, line - 0.75
        background = {"facecolor": colormaps["Blues"](0.75 * float(strength)), "edgecolor": "none", "pad": 1.5}
        axis.text(column, line, word, fontsize=8, family="monospace", bbox=background)
        column += len(word) + 1


def draw_word_map(points: pd.DataFrame, path: Path) -> None:
    """Draw words at the first two principal components of their learned vectors."""
    with saved_figure(path, 9.0, 7.0) as (_, axis):
        axis.scatter(points["x"], points["y"], s=4, color="tab:blue", alpha=0.4)
        for row in points.itertuples():
            axis.annotate(row.word, (row.x, row.y), fontsize=7, alpha=0.85)
        axis.set(xlabel="first principal component", ylabel="second principal component")
        axis.grid(alpha=0.3)
