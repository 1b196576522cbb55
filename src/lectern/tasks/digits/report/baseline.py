"""Score the baseline, which always predicts the most frequent digit of the training data."""

from pathlib import Path

import numpy as np

from lectern.artifacts.dataset import read_facts


def score_baseline(processed: Path) -> float:
    """Return the test accuracy of a classifier that always predicts the most frequent digit of the training data."""
    labels = np.load(processed / "test_labels.npy")
    return float((labels == read_facts(processed)["most_frequent"]).mean())
