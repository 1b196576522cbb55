"""Draw the plots of a report: angles over time, errors, saliency maps and an animated drive."""

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from lectern.artifacts.dataset import Facts
from lectern.plotting import saved_figure
from lectern.tasks.steering.data.format.frames import prepare
from lectern.tasks.steering.model.module import SteeringModel
from lectern.tasks.steering.report.metrics import rmse
from lectern.tasks.steering.report.saliency import compute_saliency
from lectern.tasks.steering.report.wheel_overlay import draw_wheels

TIMELINE_RUNS = 4  # number of uninterrupted runs of frames that the timeline shows
SALIENCY_FRAMES = 6
ANIMATION_SECONDS, ANIMATION_RATE = 10, 5  # length of the animation in seconds, and number of frames per second


def draw_plots(module: SteeringModel, items: pd.DataFrame, frames: np.ndarray, facts: Facts, out: Path) -> None:
    """Draw all plots of a report. `frames` contains one raw test frame per item."""
    unit = facts["unit"]["name"]
    draw_timeline(items, unit, out / "timeline.png")
    tabulate_angles(items).to_csv(out / "angles.csv", index=False, lineterminator="\n")
    draw_scatter(items, unit, out / "scatter.png")
    draw_error_by_angle(items, facts, out / "error_by_angle.png")
    draw_saliency(module, items, frames, out / "saliency.png")
    draw_animation(items, frames, facts, out / "drive.gif")


def tabulate_angles(items: pd.DataFrame) -> pd.DataFrame:
    """Return the angles of the driver and of the network over time, for the longest run of frames."""
    run = items[items["run"] == items["run"].value_counts().index[0]]
    seconds = (run["time"] - run["time"].iloc[0]).round(3)
    return pd.DataFrame({"seconds": seconds, "driver": run["angle"], "network": run["prediction"]})


def draw_timeline(items: pd.DataFrame, unit: str, path: Path) -> None:
    """Draw the driver's and the predicted angle over time, with one panel for each of the longest runs of frames."""
    runs = items["run"].value_counts().index[:TIMELINE_RUNS].sort_values()
    with saved_figure(path, 11.0, 2.3 * len(runs) + 0.4, nrows=len(runs), sharey=True, squeeze=False) as (figure, axes):
        for axis, (_, run) in zip(axes[:, 0], items[items["run"].isin(runs)].groupby("run"), strict=True):
            seconds = run["time"] - run["time"].iloc[0]
            axis.plot(seconds, run["angle"], color="0.75", linewidth=0.8, label="driver")
            axis.plot(seconds, run["angle_averaged"], color="tab:blue", linewidth=1.2, label="driver, averaged")
            axis.plot(seconds, run["prediction"], color="tab:orange", linewidth=1.2, label="network")
            axis.set_title(f"{run['drive'].iloc[0]}, from row {run['row'].iloc[0]}", loc="left", fontsize=9)
            axis.grid(alpha=0.3)
            axis.margins(x=0)
        axes[-1, 0].set_xlabel("time (s)")
        figure.supylabel(f"angle ({unit})", fontsize=9)
        figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper right", ncols=3, fontsize=8)


def draw_scatter(items: pd.DataFrame, unit: str, path: Path) -> None:
    """Draw the predicted angle over the driver's angle: one panel for the recorded and one for the averaged angle."""
    limit = float(items[["angle", "prediction"]].abs().max().max()) * 1.05
    with saved_figure(path, 9.6, 5.4, ncols=2, sharex=True, sharey=True) as (_, axes):
        for axis, label, name in zip(axes, ("angle", "angle_averaged"), ("as recorded", "averaged"), strict=True):
            axis.plot([-limit, limit], [-limit, limit], color="gray", linewidth=1)
            axis.scatter(items[label], items["prediction"], s=5, alpha=0.35, linewidths=0)
            axis.set(xlabel=f"angle of the driver, {name}", xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal")
            axis.set_title(f"RMSE {rmse(items['prediction'] - items[label]):.4f}")
            axis.grid(alpha=0.3)
        axes[0].set_ylabel(f"predicted angle ({unit})", fontsize=9)


def draw_error_by_angle(items: pd.DataFrame, facts: Facts, path: Path, bins: int = 9) -> None:
    """For each bin of the driver's angle, draw the number of frames and the RMSE of the model and of the mean."""
    edges = np.linspace(-1, 1, bins + 1) * float(items["angle"].abs().max())
    bin_of_item = np.clip(np.digitize(items["angle"], edges) - 1, 0, bins - 1)
    width = edges[1] - edges[0]
    groups = items.groupby(bin_of_item)
    centers = ((edges[1:] + edges[:-1]) / 2)[list(groups.groups)]  # centres of the bins with at least one frame
    baseline = ((items["angle"] - facts["mean"]["angle"]) ** 2).groupby(bin_of_item).mean() ** 0.5
    with saved_figure(path, 6.4, 5.4, nrows=2, sharex=True, height_ratios=(3, 1)) as (_, (errors, counts)):
        errors.bar(centers, groups["squared_error"].mean() ** 0.5, width * 0.9, color="tab:orange", label="network")
        errors.plot(centers, baseline, "o--", color="0.4", label="mean angle (baseline)")
        errors.set_ylabel(f"RMSE\n({facts['unit']['name']})", fontsize=9)
        errors.legend()
        counts.bar(centers, groups.size(), width * 0.9, color="0.6")
        counts.set(xlabel="angle of the driver", ylabel="number of frames", yscale="log")


def draw_saliency(module: SteeringModel, items: pd.DataFrame, frames: np.ndarray, path: Path) -> None:
    """Draw frames from a sharp left to a sharp right turn, with their saliency maps on top."""
    order = items["angle_averaged"].sort_values().index
    chosen = order[(np.linspace(0.02, 0.98, SALIENCY_FRAMES) * (len(order) - 1)).astype(int)]
    with saved_figure(path, 9.0, 5.3, nrows=3, ncols=2) as (figure, axes):
        figure.suptitle("Influence of the pixels on the predicted angle (bright: strong)", fontsize=10)
        for axis, item in zip(axes.T.flat, chosen, strict=True):
            window = prepare(window_ending_at(items, frames, item, module.network.window), module.facts)
            axis.imshow(window[-1])
            axis.imshow(compute_saliency(module, window), cmap="inferno", alpha=0.55)
            row = items.loc[item]
            axis.set_title(f"driver {row['angle']:+.2f}, network {row['prediction']:+.2f}", fontsize=8)
            axis.axis("off")


def window_ending_at(items: pd.DataFrame, frames: np.ndarray, item: int, size: int) -> np.ndarray:
    """Return the raw frames of the window whose last frame is the frame of an item.

    At the start of an uninterrupted run, the first frame is repeated to fill the window.
    """
    first = int(items.index[items["run"] == items.loc[item, "run"]][0])
    window: np.ndarray = frames[np.arange(item - size + 1, item + 1).clip(first)]
    return window


def draw_animation(items: pd.DataFrame, frames: np.ndarray, facts: Facts, path: Path) -> None:
    """Draw an animated GIF of the ten seconds in which the angle changes most.

    The GIF shows the frames and the steering wheels of the driver and of the network.
    """
    every = max(1, round(1 / (ANIMATION_RATE * facts["step_seconds"])))
    length = min(ANIMATION_SECONDS * ANIMATION_RATE * every, int(items["run"].value_counts().max()))
    last = items.groupby("run")["angle_averaged"].rolling(length).std().droplevel(0).idxmax()
    chosen = items.loc[last - length + 1 : last : every]
    images = [
        Image.fromarray(draw_wheels(np.asarray(frames[row.item]), row.angle, row.prediction, facts["unit"]))
        for row in chosen.itertuples()
    ]
    images = [image.resize((image.width * 2 // 3, image.height * 2 // 3)) for image in images]
    # with one palette for all images, the colours do not flicker
    palette = Image.fromarray(np.concatenate([np.asarray(image) for image in images])).quantize(256)
    images = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in images]
    images[0].save(path, save_all=True, append_images=images[1:], duration=1000 // ANIMATION_RATE, loop=0)
