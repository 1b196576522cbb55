"""Test early stopping: when a training stops, and that a killed training stops at the same step with the same bytes."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from children import KILLED, in_child
from lectern.artifacts import model_folder
from lectern.training import callbacks
from lectern.training.checkpointing import AtomicCheckpointIO, ExactResume
from marked_cases import mostly
from small import StatefulClassifier, fit, train
from test_resume import FILES, train_until
from test_training import RecordingClassifier

# No validation accuracy improves by more than 1, so that a training stops after 1 + patience validations.
WITHIN_EPOCH = {"early_stopping": {"patience": 2, "min_delta": 1.0}}  # stops at step 9, in the middle of epoch 2 of 3
AT_END_OF_EPOCH = {"early_stopping": {"patience": 3, "min_delta": 1.0}}  # stops at step 12
QUICK = {
    "one step before the stop": (WITHIN_EPOCH, StatefulClassifier, "training_step", 9),
    "in the validation that stops": (WITHIN_EPOCH, StatefulClassifier, "validation_step", 6),
    "after the save of the stop": (WITHIN_EPOCH, AtomicCheckpointIO, "save_checkpoint", 5, True),
    "after the stop at the end of an epoch": (AT_END_OF_EPOCH, ExactResume, "on_train_epoch_end", 2, True),
}
EXHAUSTIVE = {
    "in the first epoch": (WITHIN_EPOCH, StatefulClassifier, "training_step", 5),
    "before the save of the stop": (WITHIN_EPOCH, AtomicCheckpointIO, "save_checkpoint", 5),
    "before the last save": (WITHIN_EPOCH, ExactResume, "on_train_epoch_end", 2),
    "after the last save": (WITHIN_EPOCH, ExactResume, "on_train_epoch_end", 2, True),
    "before the export": (WITHIN_EPOCH, callbacks.KeepBest, "restore_best_weights", 1),
    "during the export": (WITHIN_EPOCH, model_folder, "write_json", 1),
    "in the validation at the end of an epoch": (AT_END_OF_EPOCH, StatefulClassifier, "validation_step", 8),
    "before the save at the end of an epoch": (AT_END_OF_EPOCH, ExactResume, "on_train_epoch_end", 2),
}


@pytest.fixture(scope="module")
def stopped(tmp_path_factory) -> dict[int, Path]:
    """Return the folders of two uninterrupted trainings that stop early, by their patience."""
    folders = {}
    for options in (WITHIN_EPOCH, AT_END_OF_EPOCH):
        patience = options["early_stopping"]["patience"]
        folders[patience] = tmp_path_factory.mktemp("stopped")
        ended = in_child(train, folders[patience], **options)
        assert ended.code == 0, ended.said
    return folders


def test_a_training_stops_after_the_validation_that_ends_the_patience(stopped):
    for patience, folder in stopped.items():
        history = pd.read_csv(folder / "model/history.csv")
        last = 3 * (1 + patience)
        assert history["step"].max() == last
        assert history[history["name"] == "stopped_epoch"][["step", "value"]].values.tolist() == [[last, 2.0]]


def assert_same_stop_after_kill(folder: Path, stopped: dict[int, Path], options: dict, *point: Any) -> None:
    assert in_child(train_until, folder, *point, **options).code == KILLED
    ended = in_child(train, folder, **options)
    assert ended.code == 0, ended.said
    patience = options["early_stopping"]["patience"]
    for name in FILES:
        assert (folder / "model" / name).read_bytes() == (stopped[patience] / "model" / name).read_bytes(), name
    assert f"stopped at step {3 * (1 + patience)} in epoch 2 of 3" in ended.said


def name_point(point: tuple) -> str:
    return next(name for name, other in QUICK.items() if other is point)


@pytest.mark.parametrize("point", mostly("slow", QUICK.values(), [QUICK["after the save of the stop"]], name_point))
def test_a_killed_training_stops_at_the_same_step_with_the_same_bytes(tmp_path, stopped, point):
    assert_same_stop_after_kill(tmp_path, stopped, *point)


@pytest.mark.faults
@pytest.mark.parametrize("point", EXHAUSTIVE.values(), ids=EXHAUSTIVE)
def test_a_training_that_is_killed_at_any_point_stops_with_the_same_bytes(tmp_path, stopped, point):
    assert_same_stop_after_kill(tmp_path, stopped, *point)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("values", "epochs"),
    [
        ([0.1, 0.1, 0.25, 0.2, 0.4, 0.3], 6),  # each improvement restarts the patience
        ([0.1, 0.3, 0.5, 0.7, 0.7, 0.7], 6),  # the patience ends with the training
        ([0.5, 0.55, 0.59, 0.9, 0.9, 0.9], 3),  # the improvements are smaller than min_delta
    ],
)
def test_only_an_improvement_by_more_than_min_delta_restarts_the_patience(tmp_path, values, epochs):
    def train_with_values() -> None:
        best = {"metric": "validation_test", "mode": "max"}
        early = {"patience": 2, "min_delta": 0.1}
        history = fit(RecordingClassifier(values), tmp_path, epochs=6, best=best, early_stopping=early)
        assert max(record.epoch for record in history.records) + 1 == epochs
        assert (history.stopped is None) == (epochs == 6)

    ended = in_child(train_with_values)
    assert ended.code == 0, ended.said
