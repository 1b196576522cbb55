"""Score the baseline, which always predicts the most frequent class of the training sentences."""

from pathlib import Path

import pandas as pd

from lectern.artifacts.dataset import read_facts


def score_baseline(processed: Path) -> float:
    """Return the test accuracy of a classifier that always predicts the most frequent class of the training split."""
    labels = pd.read_parquet(processed / "test.parquet", columns=["label"])["label"]
    return float((labels == read_facts(processed)["most_frequent"]).mean())
