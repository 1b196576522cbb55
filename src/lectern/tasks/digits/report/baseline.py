"""TODO: lectern.tasks.digits.report.baseline."""

from pathlib import Path

import numpy as np

from lectern.artifacts.dataset import read_facts


def score_baseline(processed: Path) -> float:
    """The accuracy of always saying the digit that is most frequent in the training data."""
    labels = np.load(processed / "test_labels.npy")
    return float((labels == read_facts(processed)["most_frequent"]).mean())
