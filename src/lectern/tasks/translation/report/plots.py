"""Draw the score by sentence length, and attention maps."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from lectern.plotting import saved_figure
from lectern.tasks.translation.report.scoring import MEASURES, confidence_interval, score


def draw_score_by_length(experiments: dict[str, pd.DataFrame], path: Path, groups: int = 6) -> None:
    """Draw the score over the length of the source sentence, with one line and one 95 % band per experiment.

    A network without attention compresses the source sentence into one vector, so its score is lower for long
    sentences.
    """
    edges = length_groups(next(iter(experiments.values())), groups)
    with saved_figure(path, 7.0, 4.4) as (_, axis):
        for name, items in experiments.items():
            table = tabulate_score_by_length(items, edges)
            axis.plot(table["words"], table["score"], marker="o", label=name)
            axis.fill_between(table["words"], table["low"], table["high"], alpha=0.15)
        axis.set(
            title="Score by sentence length, with 95 % intervals",
            xlabel="words in the source sentence",
            ylabel=MEASURES[items["measure"].iloc[0]].label,
        )
        axis.locator_params(axis="x", integer=True)
        axis.grid(alpha=0.3)
        axis.legend()


def tabulate_score_by_length(items: pd.DataFrame, edges: np.ndarray | None = None) -> pd.DataFrame:
    """Return the score and its 95 % interval for groups of sentences of similar length.

    `words` is the mean length of the sentences of a group, and `edges` are the lengths that separate the groups.
    """
    groups = items.groupby(pd.cut(items["words"], length_groups(items) if edges is None else edges), observed=True)
    parts = [part for _, part in groups]
    rows = [(part["words"].mean(), score(part), *confidence_interval(part, 200)) for part in parts]
    return pd.DataFrame(rows, columns=["words", "score", "low", "high"])


def length_groups(items: pd.DataFrame, groups: int = 6) -> np.ndarray:
    """Return the edges of length groups with about the same number of sentences."""
    words = items["words"]
    return np.unique([words.min() - 1, *words.quantile(np.linspace(0, 1, groups + 1)[1:]).round()])


def draw_attention(maps: Sequence[tuple[list[str], list[str], np.ndarray]], path: Path) -> None:
    """Draw the attention maps of sentences, one panel per sentence. Source tokens are columns, target tokens are rows.

    Each attention map is (source tokens, target tokens, weights of shape (target, source)). Darker cells have larger
    weights.
    """
    columns = min(2, len(maps))
    rows = -(-len(maps) // columns)
    with saved_figure(path, 6.0 * columns, 5.2 * rows, nrows=rows, ncols=columns, squeeze=False) as (figure, axes):
        figure.suptitle("Attention weights, mean over layers and heads")
        for axis in axes.flat[len(maps) :]:
            axis.axis("off")
        for axis, (source, target, weights) in zip(axes.flat, maps, strict=False):
            axis.imshow(weights, cmap="Blues", vmin=0, vmax=max(0.5, weights.max()), aspect="auto")
            axis.set_xticks(range(len(source)), source, rotation=60, ha="left", rotation_mode="anchor", fontsize=9)
            axis.set_yticks(range(len(target)), target, fontsize=9)
            axis.xaxis.tick_top()
            axis.xaxis.set_label_position("top")
            axis.set(xlabel="source tokens", ylabel="target tokens")
