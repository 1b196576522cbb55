"""Score predictions that need no model on the test drives, for comparison with a model."""

from pathlib import Path

import pandas as pd

from lectern.artifacts.dataset import read_facts
from lectern.tasks.steering.report.metrics import rmse, shift_in_runs

DELAY_SECONDS = 0.5


def score_baseline(processed: Path) -> float:
    """Return the RMSE on the test frames if every prediction is the mean angle of the training data."""
    angles = pd.read_parquet(processed / "test.parquet", columns=["angle"])["angle"]
    return rmse(angles - read_facts(processed)["mean"]["angle"])


def baseline_errors(items: pd.DataFrame, label: str, mean: float, step_seconds: float) -> dict[str, float]:
    """Return the RMSE of three predictions that need no model.

    The predictions are zero, the mean angle of the training data, and the driver's angle half a second earlier.
    """
    true = items[label]
    earlier = shift_in_runs(items["angle"], items["run"], max(1, round(DELAY_SECONDS / step_seconds)))
    return {"zero": rmse(true), "mean": rmse(true - mean), "half_a_second_ago": rmse((true - earlier).dropna())}
