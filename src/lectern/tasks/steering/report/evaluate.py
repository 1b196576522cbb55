"""A trained network and the raw test drives to scores, a row a frame, and pictures of how it drives."""

from pathlib import Path

import numpy as np
import pandas as pd

from lectern.artifacts.dataset import Facts, read_facts
from lectern.atomic import write_json
from lectern.tasks.steering.data.format.frames import prepare
from lectern.tasks.steering.model import inference
from lectern.tasks.steering.report import plots
from lectern.tasks.steering.report.metrics import baselines, lag, number_blocks, rmse, smoothness

CHUNK = 512  # raw frames in memory at a time


def evaluate(module, processed: Path, out: Path) -> dict[str, float]:
    """RMSE of the angle as it was recorded (score) and averaged, mean absolute error, RMSE in turns, smoothness, lag.

    Smoothness is the mean absolute change of the prediction from frame to frame, lag by how many seconds it is late.
    """
    facts, frames = read_facts(processed), np.load(processed / "test_frames.npy", mmap_mode="r")
    items = predict(module, processed, frames, facts)
    items.to_parquet(out / "items.parquet", index=False)
    details = detail(items, module, facts)
    write_json(out / "details.json", details)
    plots.draw_all(module, items, frames, facts, out)
    return {
        "score": score(items),
        "rmse_averaged": rmse(items["prediction"] - items["angle_averaged"]),
        "mae": float((items["prediction"] - items["angle"]).abs().mean()),
        "rmse_turning": details["turning"]["rmse"],
        "smoothness": details["smoothness"]["network"],
        "lag_seconds": details["lag_seconds"],
    }


def measure(module, processed: Path) -> pd.DataFrame:
    """The items alone: all that the gate asks for."""
    frames = np.load(processed / "test_frames.npy", mmap_mode="r")
    return predict(module, processed, frames, read_facts(processed))


def predict(module, processed: Path, frames: np.ndarray, facts: Facts) -> pd.DataFrame:
    """A row a frame: what was done and what the module says, the module's own facts preparing what it sees."""
    table = pd.read_parquet(processed / "test.parquet")
    runs = [follow_raw(module, frames[rows[0] : rows[-1] + 1]) for rows in table.groupby("run").indices.values()]
    said = {name: np.concatenate([run[name] for run in runs]) for name in runs[0]}
    items = table[["drive", "row", "run", "time", *facts["targets"]]].copy()
    items.insert(0, "item", np.arange(len(items)))
    items.insert(1, "block", number_blocks(items["run"], facts["step_seconds"]))
    items["prediction"] = said["angle"].astype(np.float64)
    for name in module.outputs[1:]:
        items[f"{name}_prediction"] = said[name].astype(np.float64)
    items["squared_error"] = (items["prediction"] - items["angle"]) ** 2
    items["squared_error_averaged"] = (items["prediction"] - items["angle_averaged"]) ** 2
    return items


def follow_raw(module, frames: np.ndarray) -> inference.Values:
    """The raw frames of one run, from the disk chunk by chunk, to what the module says at each."""
    chunks = [prepare(frames[start : start + CHUNK], module.facts) for start in range(0, len(frames), CHUNK)]
    return inference.follow(module, np.concatenate(chunks))


def detail(items: pd.DataFrame, module, facts: Facts) -> dict:
    """What the flat metrics have no room for: the baselines, what else was learned, and how the driver compares."""
    limit, step = facts["deviation"]["angle"], facts["step_seconds"]
    turning = items[items["angle"].abs() > limit]
    return {
        "unit": facts["unit"]["name"],
        "baselines": {
            label: baselines(items, label, facts["mean"][label], step) for label in ("angle", "angle_averaged")
        },
        "below_the_mean": {
            label: 1 - rmse(items["prediction"] - items[label]) / rmse(items[label] - facts["mean"][label])
            for label in ("angle", "angle_averaged")
        },
        "turning": {
            "above": limit,
            "frames": len(turning),
            "rmse": rmse(turning["prediction"] - turning["angle"]) if len(turning) else 0.0,
            "mae": float((turning["prediction"] - turning["angle"]).abs().mean()) if len(turning) else 0.0,
            "mean_rmse": rmse(turning["angle"] - facts["mean"]["angle"]) if len(turning) else 0.0,
        },
        "smoothness": {
            "network": smoothness(items["prediction"], items["run"]),
            "driver": smoothness(items["angle"], items["run"]),
        },
        "lag_seconds": lag(items, step),
        "others": {name: detail_other(items, name, facts) for name in module.outputs[1:] if name in facts["targets"]},
    }


def detail_other(items: pd.DataFrame, name: str, facts: Facts) -> dict[str, float]:
    """The errors of a speed, throttle or torque, beside that of its training mean; in its own unit."""
    errors = items[f"{name}_prediction"] - items[name]
    return {
        "rmse": rmse(errors),
        "mae": float(errors.abs().mean()),
        "mean_rmse": rmse(items[name] - facts["mean"][name]),
    }


def score(items: pd.DataFrame) -> float:
    """The RMSE of the angle as it was recorded, in its own unit: lower is better."""
    return float(np.sqrt(items["squared_error"].mean()))
