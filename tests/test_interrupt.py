"""Test that an interrupted training saves its step and later gives the bytes of an uninterrupted training."""

import os
import signal

import pytest
import torch

from children import in_child
from small import StatefulClassifier, train
from test_resume import LAST, assert_equal_results, train_until, undisturbed

__all__ = ["undisturbed"]  # imported because it is a fixture
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
# method of the module, number of the call, and the step that must be saved; each epoch has two validations of two
# batches
POINTS = {
    "in the first step": ("training_step", 1, 1),
    "in a step that a validation follows": ("training_step", 3, 3),
    "in a validation within an epoch": ("validation_step", 1, 3),
    "in the last step of an epoch": ("training_step", 6, 6),
    "in the validation at the end of an epoch": ("validation_step", 3, 6),
    "in the last step": ("training_step", 18, 18),
    "in the last validation": ("validation_step", 12, 18),
}


def send(number: int, times: int = 1) -> None:
    for _ in range(times):
        os.kill(os.getpid(), number)


def saved_step(folder) -> int:
    return torch.load(folder / LAST, weights_only=True)["global_step"]


@pytest.mark.parametrize(("method", "call", "step"), POINTS.values(), ids=POINTS)
def test_interrupted_training_saves_the_current_step(tmp_path, undisturbed, method, call, step):
    number = SIGNALS[step % len(SIGNALS)]
    ended = in_child(train_until, tmp_path, StatefulClassifier, method, call, act=lambda: send(number))
    assert ended.code == 128 + number, ended.said
    assert f"saved at step {step}" in ended.said and "Run the same command again" in ended.said
    assert "Traceback" not in ended.said and not (tmp_path / "model").exists()
    assert saved_step(tmp_path) == step
    assert in_child(train, tmp_path).code == 0
    assert_equal_results(tmp_path, undisturbed)


@pytest.mark.parametrize("number", SIGNALS)
def test_training_that_is_shorter_than_the_interval_is_saved(tmp_path, number):
    options = {"interval": 200, "validations_per_epoch": 1}
    ended = in_child(train_until, tmp_path, StatefulClassifier, "training_step", 2, act=lambda: send(number), **options)
    assert ended.code == 128 + number and "saved at step 2" in ended.said and saved_step(tmp_path) == 2


def test_interrupted_training_finishes_the_accumulation_of_gradients(tmp_path):
    options = {"accumulate": 3, "validations_per_epoch": 1}
    act = lambda: send(signal.SIGINT)  # noqa: E731
    ended = in_child(train_until, tmp_path, StatefulClassifier, "training_step", 1, act=act, **options)
    assert ended.code == 130 and "saved at step 1" in ended.said  # The step accumulates the gradients of three batches.


def test_a_second_interrupt_ends_at_once(tmp_path):
    act = lambda: send(signal.SIGINT, times=2)  # noqa: E731
    ended = in_child(train_until, tmp_path, StatefulClassifier, "training_step", 8, act=act)
    assert ended.code == -signal.SIGINT and "Press Ctrl-C again" in ended.said
    assert saved_step(tmp_path) == 6


def test_a_second_sigterm_does_not_prevent_the_checkpoint(tmp_path):
    """Slurm can send SIGTERM twice: once for the preemption, and once from the job script."""
    act = lambda: send(signal.SIGTERM, times=2)  # noqa: E731
    ended = in_child(train_until, tmp_path, StatefulClassifier, "training_step", 8, act=act)
    assert ended.code == 143 and saved_step(tmp_path) == 8


def test_an_ignored_signal_stays_ignored(tmp_path, undisturbed):
    """A shell starts background jobs with SIGINT ignored, and nohup ignores SIGHUP."""

    def train_and_ignore() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        train_until(tmp_path, StatefulClassifier, "training_step", 2, act=lambda: send(signal.SIGHUP))

    assert in_child(train_and_ignore).code == 0
    assert_equal_results(tmp_path, undisturbed)
