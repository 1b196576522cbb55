"""Compute the metrics of a classifier from its predicted probabilities."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
from torchmetrics.classification import (
    MulticlassCalibrationError,
    MulticlassF1Score,
    MulticlassPrecision,
    MulticlassRecall,
)


def tabulate_predictions(probabilities: np.ndarray, labels: np.ndarray) -> pd.DataFrame:
    """Return a table with one row per item: the label, the predicted class and the confidence.

    `probabilities` has the shape (n, classes) and `labels` the shape (n,). All items are in one group, because it is
    unknown which items are related.
    """
    return pd.DataFrame(
        {
            "item": np.arange(len(labels)),
            "group": 0,
            "label": labels.astype(int),
            "prediction": probabilities.argmax(1),
            "confidence": probabilities.max(1),
            "correct": probabilities.argmax(1) == labels,
        }
    )


def compute_class_metrics(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Return the precision, recall and F1 of each class as lists, and the calibration error.

    The calibration error is computed with 15 bins, as in Guo et al. 2017 (arXiv:1706.04599).
    """
    classes = probabilities.shape[1]
    scores, targets = torch.from_numpy(probabilities), torch.from_numpy(labels.astype(np.int64))
    metrics = {"precision": MulticlassPrecision, "recall": MulticlassRecall, "f1": MulticlassF1Score}
    lists = {name: metric(classes, average="none")(scores, targets).tolist() for name, metric in metrics.items()}
    return {**lists, "calibration_error": float(MulticlassCalibrationError(classes, n_bins=15)(scores, targets))}


def summarize(items: pd.DataFrame, class_metrics: Mapping[str, Any]) -> dict[str, float]:
    """Return the main metrics of a classifier, by which versions are compared."""
    return {
        "score": score(items),
        "macro_f1": float(np.mean(class_metrics["f1"])),
        "calibration_error": class_metrics["calibration_error"],
        "worst_class_recall": min(class_metrics["recall"]),
    }


def score(items: pd.DataFrame) -> float:
    """Return the share of correctly classified items."""
    return score_sums(statistics(items).sum().to_dict())


def statistics(items: pd.DataFrame) -> pd.DataFrame:
    """Return one row of statistics per item. The sums of the statistics over all items determine the score."""
    return items[["correct"]].assign(items=1).astype(float)


def score_sums(sums: Mapping[str, float]) -> float:
    """Return the accuracy, computed from the sums of the statistics over the items."""
    return float(sums["correct"] / sums["items"])
