"""Draw the plots of the report: the loss by character class and the use of context."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lectern.plotting import saved_figure

MIN_COUNT = 20  # minimum number of closing characters per bin; the mean of fewer characters would be too noisy


def draw_class_losses(by_class: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Draw the mean loss of each character class for the network and the baseline, with the largest class on top."""
    names = sorted(by_class, key=lambda name: by_class[name]["characters"])
    rows = np.arange(len(names))
    total = sum(values["characters"] for values in by_class.values())
    with saved_figure(path, 7.0, 4.2) as (_, axis):
        for offset, key, label in ((0.2, "nats", "network"), (-0.2, "baseline", "baseline (n-gram model)")):
            axis.barh(rows + offset, [by_class[name][key] for name in names], 0.4, label=label)
        shares = [by_class[name]["characters"] / total for name in names]
        labels = [f"{name}, {share:.1%}" for name, share in zip(names, shares, strict=True)]
        axis.set(yticks=rows, yticklabels=labels, xlabel="loss (nats per character)")
        axis.grid(axis="x", alpha=0.3)
        axis.legend()


def draw_context_length(details: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Plot how many characters of context each network uses, with one line per network.

    `details` contains the content of the file `details.json` of each network.

    The left plot shows how much the loss increases after a reset of the state. The right plot shows the loss of closing
    brackets and quotes.
    """
    with saved_figure(path, 12.0, 4.2, ncols=2) as (_, (left, right)):
        for name, values in details.items():
            reset, closing = values["loss_after_reset"], values["loss_by_bracket_distance"]
            left.plot(reset["position"], reset["excess"], marker=".", label=name)
            kept = [index for index, count in enumerate(closing["count"]) if count >= MIN_COUNT]
            distances, nats = ([closing[key][index] for index in kept] for key in ("distance", "nats"))
            right.plot(distances, nats, marker=".", label=name)
        left.set(xlabel="characters since the reset of the state", ylabel="additional loss due to the reset (nats)")
        right.set(xlabel="distance to the opening character", ylabel="loss of closing brackets and quotes (nats)")
        left.set_yscale("symlog", linthresh=0.01)
        left.axhline(0, color="gray", linewidth=0.8)
        for axis in (left, right):
            axis.set_xscale("log", base=2)
            axis.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
            axis.grid(alpha=0.3)
            axis.legend()
