"""TODO: lectern.tasks.steering.report.baseline."""

from pathlib import Path

import pandas as pd

from lectern.artifacts.dataset import read_facts
from lectern.tasks.steering.report.metrics import rmse


def score_baseline(processed: Path) -> float:
    """The RMSE of always steering at the mean angle of the training data."""
    angles = pd.read_parquet(processed / "test.parquet", columns=["angle"])["angle"]
    return rmse(angles - read_facts(processed)["mean"]["angle"])
