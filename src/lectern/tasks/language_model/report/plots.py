"""What a report found to pictures: which characters are hard, and how far back a network remembers."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from lectern.plotting import saved_figure

FEWEST = 20  # closings in a bin: fewer say nothing


def draw_classes(by_class: Mapping[str, Mapping], path: Path) -> None:
    """Mean nats of each class of characters, beside what counting makes of it, the most frequent class on top."""
    names = sorted(by_class, key=lambda name: by_class[name]["characters"])
    rows = np.arange(len(names))
    total = sum(values["characters"] for values in by_class.values())
    with saved_figure(path, 7.0, 4.2) as (_, axis):
        for offset, key, label in ((0.2, "nats", "network"), (-0.2, "counting", "counting five characters")):
            axis.barh(rows + offset, [by_class[name][key] for name in names], 0.4, label=label)
        shares = [by_class[name]["characters"] / total for name in names]
        labels = [f"{name}, {share:.1%}" for name, share in zip(names, shares, strict=True)]
        axis.set(yticks=rows, yticklabels=labels, xlabel="nats a character")
        axis.grid(axis="x", alpha=0.3)
        axis.legend()


def draw_memory(details: Mapping[str, Mapping], path: Path) -> None:
    """A line a network, from their `details.json`: what a lost past costs, and what closes a bracket far away."""
    with saved_figure(path, 12.0, 4.2, ncols=2) as (_, (left, right)):
        for name, found in details.items():
            reset, closing = found["after_reset"], found["at_closing"]
            left.plot(reset["place"], reset["excess"], marker=".", label=name)
            kept = [part for part, count in enumerate(closing["count"]) if count >= FEWEST]
            distances, nats = ([closing[key][part] for part in kept] for key in ("distance", "nats"))
            right.plot(distances, nats, marker=".", label=name)
        left.set(xlabel="characters since the state was reset", ylabel="more nats than with the state resume_state on")
        right.set(xlabel="characters since it was opened", ylabel="nats of a closing bracket or quote")
        left.set_yscale("symlog", linthresh=0.01)
        left.axhline(0, color="gray", linewidth=0.8)
        for axis in (left, right):
            axis.set_xscale("log", base=2)
            axis.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
            axis.grid(alpha=0.3)
            axis.legend()
