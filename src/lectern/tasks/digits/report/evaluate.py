"""A trained classifier and the raw test images to scores, a row an image, and pictures of where it errs."""

from pathlib import Path

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
from lectern.tasks.digits.data.format.images import CLASSES, prepare
from lectern.tasks.digits.report import plots

BLOCK = 100  # neighbours share a writer: the gate resamples runs of images, not single ones


def evaluate(module, processed: Path, out: Path) -> dict[str, float]:
    """Accuracy, macro F1, calibration error (Guo et al. 2017, arXiv:1706.04599, 15 bins) and the worst recall."""
    images, labels, probabilities = predict(module, processed)
    items = tabulate(probabilities, labels)
    items.to_parquet(out / "items.parquet", index=False)
    details = by_class(probabilities, labels)
    write_json(out / "details.json", details)
    plots.draw_confusion(items, out / "confusion.png")
    plots.draw_mistakes(images, probabilities, items, out / "mistakes.png")
    plots.draw_calibration(items, out / "calibration.png")
    return {
        "score": score(items),
        "macro_f1": float(np.mean(details["f1"])),
        "calibration_error": details["calibration_error"],
        "worst_class_recall": min(details["recall"]),
    }


def measure(module, processed: Path) -> pd.DataFrame:
    """The items alone: all that the gate asks for."""
    _, labels, probabilities = predict(module, processed)
    return tabulate(probabilities, labels)


def predict(module, processed: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The raw test images, their labels, and the module's probabilities."""
    images, labels = np.load(processed / "test_images.npy"), np.load(processed / "test_labels.npy")
    return images, labels, module.predict(prepare(images, module.facts))


def tabulate(probabilities: np.ndarray, labels: np.ndarray) -> pd.DataFrame:
    """A row an image: what it is, what the network took it for and how sure it was."""
    number = np.arange(len(labels))
    return pd.DataFrame(
        {
            "item": number,
            "block": number // BLOCK,
            "label": labels.astype(int),
            "prediction": probabilities.argmax(1),
            "confidence": probabilities.max(1),
            "correct": probabilities.argmax(1) == labels,
        }
    )


def by_class(probabilities: np.ndarray, labels: np.ndarray) -> dict:
    """Precision, recall and F1 of each class, and how far confidence is from being right."""
    scores, targets = torch.from_numpy(probabilities), torch.from_numpy(labels.astype(np.int64))
    metrics = {"precision": MulticlassPrecision, "recall": MulticlassRecall, "f1": MulticlassF1Score}
    each = {name: metric(CLASSES, average="none")(scores, targets).tolist() for name, metric in metrics.items()}
    return {**each, "calibration_error": float(MulticlassCalibrationError(CLASSES, n_bins=15)(scores, targets))}


def score(items: pd.DataFrame) -> float:
    """Accuracy: the share of images that were taken for what they are."""
    return float(items["correct"].mean())
