"""Predictions on test drives to pictures: the drive over time, how far off and where, and what is looked at."""

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from lectern.artifacts.dataset import Facts
from lectern.plotting import saved_figure
from lectern.tasks.steering.data.format.frames import prepare
from lectern.tasks.steering.report.metrics import rmse
from lectern.tasks.steering.report.saliency import where_it_looks
from lectern.tasks.steering.report.wheel_overlay import draw_wheels

SHOWN_RUNS, SHOWN_FRAMES = 4, 6
FILM_SECONDS, FILM_RATE = 10, 5  # of the animated picture


def draw_all(module, items: pd.DataFrame, frames: np.ndarray, facts: Facts, out: Path) -> None:
    """Every picture of the report; `frames` are the raw test frames, a frame an item."""
    unit = facts["unit"]["name"]
    draw_time_line(items, unit, out / "timeline.png")
    draw_scatter(items, unit, out / "scatter.png")
    draw_error_by_angle(items, facts, out / "error_by_angle.png")
    draw_saliency(module, items, frames, out / "saliency.png")
    draw_film(items, frames, facts, out / "drive.gif")


def draw_time_line(items: pd.DataFrame, unit: str, path: Path) -> None:
    """Angle and prediction over time, the longest runs below each other."""
    runs = items["run"].value_counts().index[:SHOWN_RUNS].sort_values()
    with saved_figure(path, 11.0, 2.3 * len(runs) + 0.4, nrows=len(runs), sharey=True, squeeze=False) as (figure, axes):
        for axis, (_, run) in zip(axes[:, 0], items[items["run"].isin(runs)].groupby("run"), strict=True):
            seconds = run["time"] - run["time"].iloc[0]
            axis.plot(seconds, run["angle"], color="0.75", linewidth=0.8, label="driver")
            axis.plot(seconds, run["angle_averaged"], color="tab:blue", linewidth=1.2, label="driver, averaged")
            axis.plot(seconds, run["prediction"], color="tab:orange", linewidth=1.2, label="network")
            axis.set_title(f"{run['drive'].iloc[0]}, from row {run['row'].iloc[0]}", loc="left", fontsize=9)
            axis.grid(alpha=0.3)
            axis.margins(x=0)
        axes[-1, 0].set_xlabel("seconds")
        figure.supylabel(f"angle ({unit})", fontsize=9)
        figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper right", ncols=3, fontsize=8)


def draw_scatter(items: pd.DataFrame, unit: str, path: Path) -> None:
    """What the network says against what the driver did, as recorded and averaged; on the line they agree."""
    reach = float(items[["angle", "prediction"]].abs().max().max()) * 1.05
    with saved_figure(path, 9.6, 5.4, ncols=2, sharex=True, sharey=True) as (_, axes):
        for axis, label, name in zip(axes, ("angle", "angle_averaged"), ("as recorded", "averaged"), strict=True):
            axis.plot([-reach, reach], [-reach, reach], color="gray", linewidth=1)
            axis.scatter(items[label], items["prediction"], s=5, alpha=0.35, linewidths=0)
            axis.set(xlabel=f"driver, {name}", xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
            axis.set_title(f"RMSE {rmse(items['prediction'] - items[label]):.4f}")
            axis.grid(alpha=0.3)
        axes[0].set_ylabel(f"network ({unit})", fontsize=9)


def draw_error_by_angle(items: pd.DataFrame, facts: Facts, path: Path, bins: int = 9) -> None:
    """The RMSE by what the driver did, beside that of the mean angle; under it how often he did it."""
    edges = np.linspace(-1, 1, bins + 1) * float(items["angle"].abs().max())
    bucket = np.clip(np.digitize(items["angle"], edges) - 1, 0, bins - 1)
    middles, width = (edges[1:] + edges[:-1]) / 2, edges[1] - edges[0]
    groups = items.groupby(bucket)
    there = middles[list(groups.groups)]
    baseline = ((items["angle"] - facts["mean"]["angle"]) ** 2).groupby(bucket).mean() ** 0.5
    with saved_figure(path, 6.4, 5.4, nrows=2, sharex=True, height_ratios=(3, 1)) as (_, (errors, counts)):
        errors.bar(there, groups["squared_error"].mean() ** 0.5, width * 0.9, color="tab:orange", label="network")
        errors.plot(there, baseline, "o--", color="0.4", label="mean angle")
        errors.set_ylabel(f"RMSE\n({facts['unit']['name']})", fontsize=9)
        errors.legend()
        counts.bar(there, groups.size(), width * 0.9, color="0.6")
        counts.set(xlabel="angle of the driver", ylabel="frames", yscale="log")


def draw_saliency(module, items: pd.DataFrame, frames: np.ndarray, path: Path) -> None:
    """Frames from sharp left to sharp right, and over them where the network looks."""
    order = items["angle_averaged"].sort_values().index
    chosen = order[(np.linspace(0.02, 0.98, SHOWN_FRAMES) * (len(order) - 1)).astype(int)]
    with saved_figure(path, 9.0, 5.0, nrows=3, ncols=2) as (_, axes):
        for axis, item in zip(axes.T.flat, chosen, strict=True):
            window = prepare(window_before(items, frames, item, module.network.window), module.facts)
            axis.imshow(window[-1])
            axis.imshow(where_it_looks(module, window), cmap="inferno", alpha=0.55)
            row = items.loc[item]
            axis.set_title(f"driver {row['angle']:+.2f}, network {row['prediction']:+.2f}", fontsize=8)
            axis.axis("off")


def window_before(items: pd.DataFrame, frames: np.ndarray, item: int, size: int) -> np.ndarray:
    """The raw frames of the window that ends with an item; before a run stands its first frame."""
    first = int(items.index[items["run"] == items.loc[item, "run"]][0])
    return frames[np.arange(item - size + 1, item + 1).clip(first)]


def draw_film(items: pd.DataFrame, frames: np.ndarray, facts: Facts, path: Path) -> None:
    """An animated picture of the ten seconds in which the driver steers most, with both wheels."""
    every = max(1, round(1 / (FILM_RATE * facts["step_seconds"])))
    length = min(FILM_SECONDS * FILM_RATE * every, int(items["run"].value_counts().max()))
    most = items.groupby("run")["angle_averaged"].rolling(length).std().droplevel(0).idxmax()
    shown = items.loc[most - length + 1 : most : every]
    pages = [
        Image.fromarray(draw_wheels(np.asarray(frames[row.item]), row.angle, row.prediction, facts["unit"]))
        for row in shown.itertuples()
    ]
    pages = [page.resize((page.width * 2 // 3, page.height * 2 // 3)) for page in pages]
    colours = Image.fromarray(np.concatenate([np.asarray(page) for page in pages])).quantize(256)  # the same on all
    pages = [page.quantize(palette=colours, dither=Image.Dither.NONE) for page in pages]
    pages[0].save(path, save_all=True, append_images=pages[1:], duration=1000 // FILM_RATE, loop=0)
