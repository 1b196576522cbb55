"""Score a trained steering model on the raw test frames, and write the report."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lectern.artifacts.dataset import Facts, read_facts
from lectern.atomic import write_json
from lectern.tasks.steering.data.format.frames import prepare
from lectern.tasks.steering.model.inference import Predictions, predict_drive
from lectern.tasks.steering.model.module import SteeringModel
from lectern.tasks.steering.report.baseline import baseline_errors
from lectern.tasks.steering.report.metrics import find_lag, rmse, smoothness
from lectern.tasks.steering.report.plots import draw_plots

CHUNK = 512  # number of raw frames that are in memory at a time


def evaluate(module: SteeringModel, processed: Path, out: Path) -> dict[str, float]:
    """Score a model on the test frames, write `items.parquet`, `details.json` and the plots, and return the metrics.

    `score` is the RMSE of the recorded angle. `rmse_averaged` is the RMSE of the averaged angle. `rmse_turning` is the
    RMSE on the test frames with a large angle, see `measure_turning`. `smoothness` is the mean absolute change of the
    prediction from frame to frame. `lag_seconds` is the delay of the prediction in seconds.
    """
    facts, frames = read_facts(processed), np.load(processed / "test_frames.npy", mmap_mode="r")
    items = predict_items(module, processed, frames, facts)
    items.to_parquet(out / "items.parquet", index=False)
    details = compute_details(items, module, facts)
    write_json(out / "details.json", details)
    draw_plots(module, items, frames, facts, out)
    return {
        "score": score(items),
        "rmse_averaged": rmse(items["prediction"] - items["angle_averaged"]),
        "rmse_turning": details["turning"]["rmse"],
        "smoothness": details["smoothness"]["network"],
        "lag_seconds": details["lag_seconds"],
    }


def measure(module: SteeringModel, processed: Path) -> pd.DataFrame:
    """Return a table with one row per test frame for the promotion gate. No report is written."""
    frames = np.load(processed / "test_frames.npy", mmap_mode="r")
    return predict_items(module, processed, frames, read_facts(processed))


def score(items: pd.DataFrame) -> float:
    """Return the RMSE of the recorded angle, in the unit of the angle. A lower RMSE is better."""
    return score_sums(statistics(items).sum().to_dict())


def statistics(items: pd.DataFrame) -> pd.DataFrame:
    """Return one row of statistics per item. The sums of the statistics over all items determine the score."""
    return items[["squared_error"]].assign(frames=1.0)


def score_sums(sums: Mapping[str, float]) -> float:
    """Return the RMSE, computed from the sums of the statistics over the items."""
    return float(np.sqrt(sums["squared_error"] / sums["frames"]))


def predict_items(module: SteeringModel, processed: Path, frames: np.ndarray, facts: Facts) -> pd.DataFrame:
    """Return a table with the recorded targets, the predictions and the squared errors of each test frame.

    The frames are prepared with the facts of the model, because the dataset may have changed after the training.
    """
    table = pd.read_parquet(processed / "test.parquet")
    runs = [predict_run(module, frames[rows[0] : rows[-1] + 1]) for rows in table.groupby("run").indices.values()]
    predictions = {name: np.concatenate([run[name] for run in runs]) for name in runs[0]}
    items = table[["drive", "row", "run", "time", *facts["targets"]]].copy()
    items.insert(0, "item", np.arange(len(items)))
    items.insert(1, "group", items["run"])
    items["prediction"] = predictions["angle"].astype(np.float64)
    for name in module.outputs[1:]:
        items[f"{name}_prediction"] = predictions[name].astype(np.float64)
    items["squared_error"] = (items["prediction"] - items["angle"]) ** 2
    items["squared_error_averaged"] = (items["prediction"] - items["angle_averaged"]) ** 2
    return items


def predict_run(module: SteeringModel, frames: np.ndarray) -> Predictions:
    """Return the predictions for all raw frames of one uninterrupted run. The frames are read from disk in chunks."""
    chunks = [prepare(frames[start : start + CHUNK], module.facts) for start in range(0, len(frames), CHUNK)]
    return predict_drive(module, np.concatenate(chunks))


def compute_details(items: pd.DataFrame, module: SteeringModel, facts: Facts) -> dict[str, Any]:
    """Return baselines, errors in bends, smoothness, lag and errors of additional targets for `details.json`."""
    step, labels = facts["step_seconds"], ("angle", "angle_averaged")
    return {
        "unit": facts["unit"]["name"],
        "mae": float((items["prediction"] - items["angle"]).abs().mean()),
        "baselines": {label: baseline_errors(items, label, facts["mean"][label], step) for label in labels},
        "improvement_over_mean": {label: improvement_over_mean(items, label, facts) for label in labels},
        "turning": measure_turning(items, facts),
        "smoothness": {
            "network": smoothness(items["prediction"], items["run"]),
            "driver": smoothness(items["angle"], items["run"]),
        },
        "lag_seconds": find_lag(items, step),
        "other_targets": {
            name: measure_target(items, name, facts) for name in module.outputs[1:] if name in facts["targets"]
        },
    }


def improvement_over_mean(items: pd.DataFrame, label: str, facts: Facts) -> float:
    """Return the improvement over a prediction of the mean training angle, relative to the RMSE of this prediction."""
    return 1 - rmse(items["prediction"] - items[label]) / rmse(items[label] - facts["mean"][label])


def measure_turning(items: pd.DataFrame, facts: Facts) -> dict[str, float]:
    """Return the errors in bends. A frame is in a bend if its angle exceeds the standard deviation in training."""
    limit = facts["deviation"]["angle"]
    turning = items[items["angle"].abs() > limit]
    errors = turning["prediction"] - turning["angle"]
    return {
        "above": limit,
        "frames": len(turning),
        "rmse": rmse(errors) if len(turning) else 0.0,
        "mae": float(errors.abs().mean()) if len(turning) else 0.0,
        "mean_rmse": rmse(turning["angle"] - facts["mean"]["angle"]) if len(turning) else 0.0,
    }


def measure_target(items: pd.DataFrame, name: str, facts: Facts) -> dict[str, float]:
    """Return the errors of an additional target, such as the speed, in the unit of the target.

    For comparison, `mean_rmse` is the RMSE of a prediction of the training data's mean.
    """
    errors = items[f"{name}_prediction"] - items[name]
    return {
        "rmse": rmse(errors),
        "mae": float(errors.abs().mean()),
        "mean_rmse": rmse(items[name] - facts["mean"][name]),
    }
