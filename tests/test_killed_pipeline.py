"""Test trainings that are started twice at once, interrupted or killed, and then run again through DVC."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from mlflow import MlflowClient

from checkout import STAGES, Checkout

pytestmark = [pytest.mark.slow, pytest.mark.nightly]
TRAIN = ("python", "pipelines/train.py", "dataset=sample_digits", "model=digits_cnn")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Checkout:
    checkout = Checkout(tmp_path_factory.mktemp("undisturbed") / "lectern")
    checkout.do("dvc", "repro", "register@demo-digits")
    return checkout


@pytest.fixture(scope="module")
def disturbed(tmp_path_factory) -> Checkout:
    """Return a checkout whose training was started twice at the same time, then killed, and then run again."""
    checkout = Checkout(tmp_path_factory.mktemp("disturbed") / "another folder")
    first = checkout.start("dvc", "repro", "register@demo-digits")
    wait_for_file(checkout, "runs/*/last.ckpt", first)
    os.killpg(first.pid, signal.SIGSTOP)  # The first training must not end before the others have been refused.
    checkout.second_repro = checkout.run("dvc", "repro", "train@demo-digits")
    checkout.second_training = checkout.run(*TRAIN, "budget=laptop", "seed=7", "out=models/by-hand")
    models = checkout / "models"
    checkout.files_before_kill = {path.name for path in models.rglob("*")} if models.exists() else set()
    os.killpg(first.pid, signal.SIGKILL)
    checkout.first_code = first.wait()
    checkout.repro_after_kill = checkout.run("dvc", "repro", "register@demo-digits")
    return checkout


def wait_for_file(checkout: Checkout, pattern: str, process: subprocess.Popen) -> Path:
    while not (paths := list(checkout.folder.glob(pattern))):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    return paths[0]


def test_second_repro_of_a_running_stage_is_refused(disturbed):
    code, output = disturbed.second_repro
    assert code != 0 and "is busy, it is being blocked by" in output and "Traceback" not in output


def test_second_training_with_the_same_key_is_refused(disturbed):
    code, output = disturbed.second_training
    assert code == 1 and "in use" in output and "Traceback" not in output


def test_killed_stage_leaves_no_model_and_resumes_when_run_again(disturbed):
    assert disturbed.first_code == -signal.SIGKILL
    assert not disturbed.files_before_kill & {"weights.safetensors", "module.json"}
    code, output = disturbed.repro_after_kill
    assert code == 0, output
    assert not list((disturbed / "runs").glob("*")) if (disturbed / "runs").exists() else True


def test_killed_and_undisturbed_checkouts_have_the_same_lock(disturbed, undisturbed):
    for stage in STAGES:
        assert disturbed.lock()[stage] == undisturbed.lock()[stage], stage


@pytest.mark.faults
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_repro_saves_the_current_step_and_continues_when_run_again(tmp_path, undisturbed, number):
    """A terminal sends the signal to DVC, to the shell of DVC and to the training at once."""
    checkout = Checkout(tmp_path / "lectern")
    first = checkout.start("dvc", "repro", "train@demo-digits")
    wait_for_file(checkout, "runs/*/last.ckpt", first)
    os.killpg(first.pid, number)
    output, _ = first.communicate()
    assert first.returncode != 0 and "saved at step" in output and "Traceback" not in output, output
    assert not (checkout / "models").exists() or not list((checkout / "models").iterdir())
    assert checkout.run("dvc", "repro", "register@demo-digits")[0] == 0
    assert checkout.lock()["train@demo-digits"] == undisturbed.lock()["train@demo-digits"]
    assert not list((checkout / "runs").glob("*"))


@pytest.mark.faults
def test_a_repro_killed_after_the_training_does_not_train_again(tmp_path, undisturbed):
    """DVC writes `dvc.lock` only after DVC has copied the model to its cache."""
    checkout = Checkout(tmp_path / "lectern")
    first = checkout.start("dvc", "repro", "train@demo-digits")
    wait_for_file(checkout, "models/demo-digits/weights.safetensors", first)
    while list(checkout.folder.glob("runs/*.owner")):
        assert first.poll() is None
        time.sleep(0.001)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    assert "train@demo-digits" not in checkout.lock()
    output = checkout.do("dvc", "repro", "train@demo-digits")
    assert "this training is already finished" in output
    assert checkout.lock()["train@demo-digits"] == undisturbed.lock()["train@demo-digits"]
    client = MlflowClient(checkout.store, checkout.store)
    runs = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
    assert [run.info.status for run in runs] == ["FINISHED"]
    checkout.do("dvc", "repro", "register@demo-digits")
    assert not list((checkout / "runs").glob("*"))
