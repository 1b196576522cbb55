"""Test the metrics, the files and the baseline of the digits report."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from lectern.artifacts.dataset import read_facts
from lectern.tasks.digits.model.loader import load
from lectern.tasks.digits.model.module import DigitClassifier
from lectern.tasks.digits.report import baseline, evaluate

CONFIDENCE = 0.91


class FakeClassifier:
    """A classifier that predicts the labels, except for the given mistakes, always with the same confidence."""

    def __init__(self, labels: np.ndarray, mistakes: dict[int, int]):
        predictions = labels.astype(int).copy()
        for item, digit in mistakes.items():
            predictions[item] = digit
        self.probabilities = np.full((len(labels), 10), (1 - CONFIDENCE) / 9, np.float32)
        self.probabilities[np.arange(len(labels)), predictions] = CONFIDENCE

    def predict(self, images: np.ndarray) -> np.ndarray:
        assert len(images) == len(self.probabilities)
        return self.probabilities


@pytest.fixture(scope="module")
def labels(digits) -> np.ndarray:
    return np.load(digits / "test_labels.npy")


@pytest.fixture(scope="module")
def classifier(labels) -> FakeClassifier:
    """Return a classifier with 30 wrong predictions, all among the first 60 images."""
    return FakeClassifier(labels, {item: (int(labels[item]) + 1) % 10 for item in range(0, 60, 2)})


@pytest.fixture(scope="module")
def report(digits, classifier, tmp_path_factory) -> tuple[dict, Path]:
    out = tmp_path_factory.mktemp("report")
    return evaluate.evaluate(classifier, digits, out), out


@pytest.mark.slow
def test_score_is_the_accuracy(report):
    metrics, _ = report
    assert metrics["score"] == 1 - 30 / 300
    assert 2 <= len(metrics) <= 6 and all(type(value) is float for value in metrics.values())


@pytest.mark.slow
def test_score_can_be_computed_from_the_items(report):
    metrics, out = report
    items = pd.read_parquet(out / "items.parquet")
    assert evaluate.score(items) == metrics["score"]
    assert items["item"].tolist() == list(range(300))
    assert evaluate.score(items.iloc[:60]) == 0.5  # The score can also be computed from any subset of the items.


def test_class_metrics_match_their_definitions(report, classifier, labels):
    metrics, out = report
    details = json.loads((out / "details.json").read_text())
    predictions = classifier.probabilities.argmax(1)
    for digit in range(10):
        correct = ((predictions == digit) & (labels == digit)).sum()
        precision, recall = correct / (predictions == digit).sum(), correct / (labels == digit).sum()
        assert details["precision"][digit] == pytest.approx(precision)
        assert details["recall"][digit] == pytest.approx(recall)
        assert details["f1"][digit] == pytest.approx(2 * precision * recall / (precision + recall))
    assert metrics["macro_f1"] == pytest.approx(np.mean(details["f1"]))
    assert metrics["worst_class_recall"] == pytest.approx(min(details["recall"]))


def test_calibration_error_is_the_difference_between_confidence_and_accuracy(report):
    metrics, _ = report
    assert metrics["calibration_error"] == pytest.approx(abs(CONFIDENCE - 0.9), abs=1e-5)


@pytest.mark.slow
def test_classifier_without_mistakes_can_be_reported(digits, labels, tmp_path):
    metrics = evaluate.evaluate(FakeClassifier(labels, {}), digits, tmp_path)
    assert metrics["score"] == metrics["macro_f1"] == metrics["worst_class_recall"] == 1.0
    assert (tmp_path / "mistakes.png").is_file()


@pytest.mark.slow
def test_report_has_the_same_bytes_twice(digits, classifier, report, tmp_path):
    _, out = report
    evaluate.evaluate(classifier, digits, tmp_path)
    names = {path.name for path in out.iterdir()}
    tables = {"items.parquet", "details.json", "confusion.csv", "calibration.csv"}
    assert names == {*tables, "confusion.png", "mistakes.png", "calibration.png"}
    for name in names:
        assert (tmp_path / name).read_bytes() == (out / name).read_bytes(), name


def train_briefly(digits: Path) -> DigitClassifier:
    """Train a small classifier on one batch, so that it predicts every digit at least once."""
    torch.manual_seed(0)
    classifier = DigitClassifier(read_facts(digits), {"class": "DigitCNN", "dropout": 0.0}, learning_rate=0.1)
    batch = next(iter(load(digits, "train", seed=7, batch_size=100)))
    optimizer = torch.optim.Adam(classifier.parameters(), 0.003)
    for _ in range(10):
        optimizer.zero_grad()
        classifier.training_step(batch, 0).backward()
        optimizer.step()
    return classifier.eval()


@pytest.mark.slow
def test_report_of_a_real_classifier_needs_only_the_test_split(digits, tmp_path):
    """The score of the report is the accuracy of the probabilities that serving returns."""
    for name in ("test_images.npy", "test_labels.npy"):
        (tmp_path / name).write_bytes((digits / name).read_bytes())
    classifier = train_briefly(digits)
    metrics = evaluate.evaluate(classifier, tmp_path, tmp_path)
    predictions = classifier.predict(np.load(tmp_path / "test_images.npy")).argmax(1)
    labels = np.load(tmp_path / "test_labels.npy")
    assert len(set(predictions)) == 10
    assert metrics["score"] == (predictions == labels).mean()
    recalls = [(predictions[labels == digit] == digit).mean() for digit in range(10)]
    assert metrics["worst_class_recall"] == pytest.approx(min(recalls))


def test_baseline_is_the_accuracy_of_predicting_the_most_frequent_training_label(digits, tmp_path):
    most_frequent = np.bincount(np.load(digits / "train_labels.npy")).argmax()
    assert baseline.score_baseline(digits) == (np.load(digits / "test_labels.npy") == most_frequent).mean()
    (tmp_path / "facts.json").write_text(json.dumps({"most_frequent": 3}))
    np.save(tmp_path / "test_labels.npy", np.array([3, 3, 8, 8, 8, 8, 8, 8], np.uint8))
    # The baseline predicts the most frequent training label, although label 8 is more frequent in the test data.
    assert baseline.score_baseline(tmp_path) == 0.25
