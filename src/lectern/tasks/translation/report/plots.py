"""Scored translations and attention to pictures: how good by length, and where the decoder looked."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from lectern.plotting import saved_figure
from lectern.tasks.translation.report.scoring import interval, score


def draw_score_by_length(experiments: dict[str, pd.DataFrame], path: Path, groups: int = 6) -> None:
    """The score of sentences of like length, a line an experiment: one vector forgets what attention finds again."""
    words = next(iter(experiments.values()))["words"]
    edges = np.unique([words.min() - 1, *words.quantile(np.linspace(0, 1, groups + 1)[1:]).round()])
    with saved_figure(path, 7.0, 4.4) as (_, axis):
        for name, items in experiments.items():
            parts = [part for _, part in items.groupby(pd.cut(items["words"], edges)) if len(part)]
            scores, bounds = [score(part) for part in parts], np.array([interval(part, 200) for part in parts])
            middles = [part["words"].mean() for part in parts]
            axis.plot(middles, scores, marker="o", label=name)
            axis.fill_between(middles, bounds[:, 0], bounds[:, 1], alpha=0.15)
        axis.set(xlabel="words in the source", ylabel=items["measure"].iloc[0].replace("_", " "))
        axis.grid(alpha=0.3)
        axis.legend()


def draw_attention(maps: Sequence[tuple[list[str], list[str], np.ndarray]], path: Path) -> None:
    """A panel a sentence: down what was written, across what was read, dark where the decoder looked."""
    columns = min(2, len(maps))
    rows = -(-len(maps) // columns)
    with saved_figure(path, 6.0 * columns, 5.2 * rows, nrows=rows, ncols=columns, squeeze=False) as (_, axes):
        for axis in axes.flat[len(maps) :]:
            axis.axis("off")
        for axis, (source, target, weights) in zip(axes.flat, maps, strict=False):
            axis.imshow(weights, cmap="Blues", vmin=0, vmax=max(0.5, weights.max()), aspect="auto")
            axis.set_xticks(range(len(source)), source, rotation=60, ha="left", rotation_mode="anchor", fontsize=9)
            axis.set_yticks(range(len(target)), target, fontsize=9)
            axis.xaxis.tick_top()
