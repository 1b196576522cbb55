"""Digits: what the report says of a classifier is so, and is said in the same bytes twice."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from lectern.artifacts.dataset import read_facts
from lectern.tasks.digits.model.module import DigitClassifier
from lectern.tasks.digits.report import baseline, evaluate


class Learned:
    """Knows every answer but for some mistakes, and is as sure as it is told to be."""

    facts: dict = {}

    def __init__(self, labels: np.ndarray, mistakes: dict[int, int], sure: float = 0.91):
        taken_for = labels.astype(int).copy()
        for item, digit in mistakes.items():
            taken_for[item] = digit
        self.probabilities = np.full((len(labels), 10), (1 - sure) / 9, np.float32)
        self.probabilities[np.arange(len(labels)), taken_for] = sure

    def predict(self, images: np.ndarray) -> np.ndarray:
        assert len(images) == len(self.probabilities)
        return self.probabilities


def other_than(label: int) -> int:
    return (int(label) + 1) % 10


@pytest.fixture(scope="module")
def labels(digits) -> np.ndarray:
    return np.load(digits / "test_labels.npy")


@pytest.fixture(scope="module")
def learned(labels) -> Learned:
    return Learned(labels, {item: other_than(labels[item]) for item in range(0, 60, 2)})


@pytest.fixture(scope="module")
def reported(digits, learned, tmp_path_factory) -> tuple[dict, Path]:
    out = tmp_path_factory.mktemp("report")
    return evaluate.evaluate(learned, digits, out), out


def test_the_score_is_the_share_of_images_taken_for_what_they_are(reported):
    metrics, _ = reported
    assert metrics["score"] == 1 - 30 / 300
    assert 2 <= len(metrics) <= 6 and all(type(value) is float for value in metrics.values())


def test_the_score_can_be_computed_from_the_items_alone(reported):
    metrics, out = reported
    items = pd.read_parquet(out / "items.parquet")
    assert evaluate.score(items) == metrics["score"]
    assert items["item"].tolist() == list(range(300))
    assert evaluate.score(items.iloc[:60]) == 0.5  # and for any blocks of them


def test_blocks_are_runs_of_neighbours(reported):
    _, out = reported
    blocks = pd.read_parquet(out / "items.parquet")["block"]
    assert (blocks.diff().dropna() >= 0).all() and 1 < blocks.nunique() < 300


def test_details_are_what_counting_gives(reported, learned, labels):
    metrics, out = reported
    details = json.loads((out / "details.json").read_text())
    taken_for = learned.probabilities.argmax(1)
    for digit in range(10):
        right = ((taken_for == digit) & (labels == digit)).sum()
        precision, recall = right / (taken_for == digit).sum(), right / (labels == digit).sum()
        assert details["precision"][digit] == pytest.approx(precision)
        assert details["recall"][digit] == pytest.approx(recall)
        assert details["f1"][digit] == pytest.approx(2 * precision * recall / (precision + recall))
    assert metrics["macro_f1"] == pytest.approx(np.mean(details["f1"]))
    assert metrics["worst_class_recall"] == pytest.approx(min(details["recall"]))


def test_calibration_error_is_how_far_confidence_is_from_being_right(reported):
    metrics, _ = reported
    assert metrics["calibration_error"] == pytest.approx(abs(0.91 - 0.9), abs=1e-5)


def test_a_classifier_without_mistakes_is_reported_too(digits, labels, tmp_path):
    metrics = evaluate.evaluate(Learned(labels, {}), digits, tmp_path)
    assert metrics["score"] == metrics["macro_f1"] == metrics["worst_class_recall"] == 1.0
    assert (tmp_path / "mistakes.png").is_file()


def test_the_report_has_the_same_bytes_twice(digits, learned, reported, tmp_path):
    _, out = reported
    evaluate.evaluate(learned, digits, tmp_path)
    names = {path.name for path in out.iterdir()}
    assert names == {"items.parquet", "details.json", "confusion.png", "mistakes.png", "calibration.png"}
    for name in names:
        assert (tmp_path / name).read_bytes() == (out / name).read_bytes(), name


def test_a_report_needs_no_more_than_the_module_and_the_test_split(digits, learned, tmp_path):
    """Training and validation data are not looked at: what is scored is what serving would answer."""
    facts = read_facts(digits)
    for name in ("test_images.npy", "test_labels.npy"):
        (tmp_path / name).write_bytes((digits / name).read_bytes())
    torch.manual_seed(0)
    classifier = DigitClassifier(facts, {"class": "DigitResNet", "width": 8, "blocks": 1}, learning_rate=0.1).eval()
    assert 0 <= evaluate.evaluate(classifier, tmp_path, tmp_path)["score"] <= 1


def test_the_floor_is_what_always_saying_the_most_frequent_training_label_gives(digits, tmp_path):
    frequent = np.bincount(np.load(digits / "train_labels.npy")).argmax()
    assert baseline.score_baseline(digits) == (np.load(digits / "test_labels.npy") == frequent).mean()
    (tmp_path / "facts.json").write_text(json.dumps({"most_frequent": 3}))
    np.save(tmp_path / "test_labels.npy", np.array([3, 3, 8, 8, 8, 8, 8, 8], np.uint8))
    assert baseline.score_baseline(tmp_path) == 0.25  # though in the test data an eight is more frequent
