"""Test trainings with further Lightning callbacks and with early stopping, with the real train stage."""

import json
import os
import signal
from pathlib import Path

import pandas as pd
import pytest

from short_training import client, list_runs, project, train
from test_processes import DIGITS, interrupt_after_save, train_in_child
from test_processes import train as train_in_process

__all__ = ["client", "project"]  # imported because they are fixtures
TIMER = '{class:"pytorch_lightning.callbacks:Timer",duration:"00:12:00:00"}'
STOP = "+model.fit.laptop.early_stopping={patience:2,min_delta:2.0}"  # no accuracy improves by 2
OPTIONS = ("model.fit.laptop.epochs=20", "+model.fit.laptop.validations_per_epoch=2")


def read_metadata(name: str) -> dict:
    return json.loads(Path(name, "module.json").read_text())


@pytest.mark.slow
def test_a_training_with_callbacks_prints_the_lost_promise_and_records_the_callbacks(project):
    ended = train(f"+model.fit.laptop.callbacks=[{TIMER}]", "tracking=later")
    assert ended.code == 0, ended.said
    assert ended.said.count("lectern: this training uses the callbacks pytorch_lightning.callbacks:Timer. If the") == 1
    (record,) = read_metadata("models/brief")["callbacks"]
    assert record["package"] == "pytorch_lightning" and record["version"] and len(record["digest"]) == 64
    assert record["arguments"] == {"duration": "00:12:00:00"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("callbacks", "message"),
    [
        ('{class:"pytorch_lightning.callbacks:LearningRateMonitor"}', "Lightning rejects this training: Cannot use"),
        (f"{TIMER},{TIMER}", "callbacks: Timer occurs twice, so Lightning cannot save the states of both"),
        (
            '{class:"pytorch_lightning.callbacks:Timer",interval:never}',
            "callbacks, pytorch_lightning.callbacks:Timer: ",
        ),
    ],
)
def test_a_callback_that_lightning_rejects_is_reported_without_a_traceback(project, callbacks, message):
    ended = train(f"+model.fit.laptop.callbacks=[{callbacks}]", "tracking=later")
    assert ended.code == 1 and message in ended.said and "Traceback" not in ended.said, ended.said


@pytest.mark.slow
def test_an_early_stop_is_shown_in_the_history_the_metadata_and_the_run(project, client):
    ended = train(STOP, "model.fit.laptop.epochs=6")
    assert ended.code == 0, ended.said
    reason = "validation_accuracy has not improved by more than 2 in the last 2 validations"
    assert f"lectern: the training was stopped at step 12 in epoch 3 of 6, because {reason}" in ended.said
    assert read_metadata("models/brief")["stopped"] == {"step": 12, "epoch": 3, "epochs": 6, "reason": reason}
    (run,) = list_runs(client)
    assert run.data.tags["lectern.stopped"] == f"step 12, epoch 3 of 6: {reason}"
    assert run.data.metrics["stopped_epoch"] == 3


def last_step(folder: str) -> int:
    history = pd.read_csv(Path(folder, "history.csv"))
    assert history["name"].iloc[-1] == "stopped_epoch"
    return history["step"].max()


@pytest.mark.slow
def test_two_processes_stop_after_the_same_step_as_one(project):
    overrides = (*DIGITS, *OPTIONS, STOP, "tracking=later")
    train_in_child(*overrides, "out=runs/one")
    train_in_process(*overrides, "trainer=two_processes", "out=runs/two")
    assert last_step("runs/one") == last_step("runs/two")


@pytest.mark.faults
def test_two_processes_that_are_killed_stop_at_the_same_step_with_the_same_bytes(project):
    overrides = (*DIGITS, *OPTIONS, STOP, "tracking=later", "trainer=two_processes")
    train_in_process(*overrides, "out=runs/undisturbed")
    code, output = interrupt_after_save(signal.SIGKILL, os.killpg, *overrides, "out=runs/disturbed")
    assert code == -signal.SIGKILL, output
    train_in_process(*overrides, "out=runs/disturbed")
    for name in ("weights.safetensors", "history.csv", "module.json"):
        assert Path("runs/undisturbed", name).read_bytes() == Path("runs/disturbed", name).read_bytes(), name
