"""Score a digit classifier on the test images, and write the report."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from lectern.atomic import write_json
from lectern.classification.metrics import (
    compute_class_metrics,
    score,
    score_sums,
    statistics,
    summarize,
    tabulate_predictions,
)
from lectern.classification.plots import draw_calibration, draw_confusion, tabulate_calibration
from lectern.tasks.digits.data.format.images import NUM_CLASSES, validate_images
from lectern.tasks.digits.report import plots

if TYPE_CHECKING:
    from lectern.tasks.digits.model.module import DigitClassifier

__all__ = ["evaluate", "measure", "score", "score_sums", "statistics"]
DIGITS = [str(digit) for digit in range(NUM_CLASSES)]


def evaluate(module: "DigitClassifier", processed: Path, out: Path) -> dict[str, float]:
    """Score the model on the test images, write the report to the folder `out`, and return the metrics."""
    images, labels, probabilities = predict_test_images(module, processed)
    items = tabulate_predictions(probabilities, labels)
    items.to_parquet(out / "items.parquet", index=False)
    details = compute_class_metrics(probabilities, labels)
    write_json(out / "details.json", details)
    items[["label", "prediction"]].to_csv(out / "confusion.csv", index=False, lineterminator="\n")
    tabulate_calibration(items).to_csv(out / "calibration.csv", index=False, lineterminator="\n")
    draw_confusion(items, DIGITS, "images", out / "confusion.png")
    plots.draw_mistakes(images, items, out / "mistakes.png")
    draw_calibration(items, out / "calibration.png")
    return summarize(items, details)


def measure(module: "DigitClassifier", processed: Path) -> pd.DataFrame:
    """Return a table with one row per test image for the promotion gate. No report is written."""
    _, labels, probabilities = predict_test_images(module, processed)
    return tabulate_predictions(probabilities, labels)


def predict_test_images(module: "DigitClassifier", processed: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the raw test images, their labels and the predicted probabilities."""
    images, labels = np.load(processed / "test_images.npy"), np.load(processed / "test_labels.npy")
    return images, labels, module.predict(validate_images(images))
