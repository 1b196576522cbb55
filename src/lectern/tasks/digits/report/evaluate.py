"""Score a digit classifier on the test images, and write the report."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from torchmetrics.classification import (
    MulticlassCalibrationError,
    MulticlassF1Score,
    MulticlassPrecision,
    MulticlassRecall,
)

from lectern.atomic import write_json
from lectern.tasks.digits.data.format.images import NUM_CLASSES, validate_images
from lectern.tasks.digits.report import plots

if TYPE_CHECKING:
    from lectern.tasks.digits.model.module import DigitClassifier


def evaluate(module: "DigitClassifier", processed: Path, out: Path) -> dict[str, float]:
    """Score the model on the test images, write the report to the folder `out`, and return the metrics.

    The calibration error is computed with 15 bins, as in Guo et al. 2017 (arXiv:1706.04599).
    """
    images, labels, probabilities = predict_test_images(module, processed)
    items = tabulate_predictions(probabilities, labels)
    items.to_parquet(out / "items.parquet", index=False)
    details = compute_class_metrics(probabilities, labels)
    write_json(out / "details.json", details)
    items[["label", "prediction"]].to_csv(out / "confusion.csv", index=False, lineterminator="\n")
    plots.tabulate_calibration(items).to_csv(out / "calibration.csv", index=False, lineterminator="\n")
    plots.draw_confusion(items, out / "confusion.png")
    plots.draw_mistakes(images, items, out / "mistakes.png")
    plots.draw_calibration(items, out / "calibration.png")
    return {
        "score": score(items),
        "macro_f1": float(np.mean(details["f1"])),
        "calibration_error": details["calibration_error"],
        "worst_class_recall": min(details["recall"]),
    }


def measure(module: "DigitClassifier", processed: Path) -> pd.DataFrame:
    """Return a table with one row per test image for the promotion gate. No report is written."""
    _, labels, probabilities = predict_test_images(module, processed)
    return tabulate_predictions(probabilities, labels)


def predict_test_images(module: "DigitClassifier", processed: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the raw test images, their labels and the predicted probabilities."""
    images, labels = np.load(processed / "test_images.npy"), np.load(processed / "test_labels.npy")
    return images, labels, module.predict(validate_images(images))


def tabulate_predictions(probabilities: np.ndarray, labels: np.ndarray) -> pd.DataFrame:
    """Return a table with one row per image: the label, the predicted digit and the confidence.

    All images are in one group, because the writers of the digits are unknown.
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
    """Return the precision, recall and F1 of each class as lists, and the calibration error."""
    scores, targets = torch.from_numpy(probabilities), torch.from_numpy(labels.astype(np.int64))
    metrics = {"precision": MulticlassPrecision, "recall": MulticlassRecall, "f1": MulticlassF1Score}
    lists = {name: metric(NUM_CLASSES, average="none")(scores, targets).tolist() for name, metric in metrics.items()}
    return {**lists, "calibration_error": float(MulticlassCalibrationError(NUM_CLASSES, n_bins=15)(scores, targets))}


def score(items: pd.DataFrame) -> float:
    """Return the share of correctly classified images."""
    return score_sums(statistics(items).sum().to_dict())


def statistics(items: pd.DataFrame) -> pd.DataFrame:
    """Return one row of statistics per item. The sums of the statistics over all items determine the score."""
    return items[["correct"]].assign(images=1).astype(float)


def score_sums(sums: Mapping[str, float]) -> float:
    """Return the accuracy, computed from the sums of the statistics over the items."""
    return float(sums["correct"] / sums["images"])
