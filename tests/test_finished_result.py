"""Test that a training that was killed after its end is not repeated and not recorded a second time."""

from pathlib import Path
from typing import Any

import pytest

from children import KILLED, Ended, in_child, run_stage, warm
from lectern.artifacts import digests
from lectern.tracking import recording, runs
from lectern.training import finished_result, fit, run_lock
from marked_cases import mostly
from short_training import SHORT_TRAINING, client, list_runs, logged_points, project, read_history, train, train_until

__all__ = ["client", "project"]  # imported because they are fixtures
NAMES = ("weights.safetensors", "module.json", "history.csv")
# owner, function, number of the call, and whether the process is killed after the call instead of before
KILLS: dict[str, tuple[Any, str, int, bool]] = {
    "before the run has the digest of the weights": (recording, "weights_digest", 1, False),
    "before the run is finished": (runs.MlflowClient, "set_terminated", 1, False),
    "after the run is finished": (runs.MlflowClient, "set_terminated", 1, True),
    "before the output is complete": (finished_result.shutil, "copyfile", 2, True),
    "after the output is complete": (finished_result, "publish_result", 1, True),
    "before the stage ends": (run_lock, "clear_run_directory", 1, True),
}


def delete_output() -> None:
    """Delete the output of the stage, as DVC does before it runs the stage again."""
    finished_result.shutil.rmtree("models/brief", ignore_errors=True)


def train_without_steps() -> Ended:
    """Run the train stage. The stage fails if it executes a training step."""

    def run() -> None:
        fit.pl.Trainer.fit = lambda *_, **__: exec("raise AssertionError('trained again')")
        run_stage("train", *SHORT_TRAINING)

    return in_child(run)


@pytest.fixture
def under_dvc(monkeypatch) -> None:
    monkeypatch.setenv("DVC_STAGE", "train@brief")


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", mostly("nightly", KILLS, always=["before the run is finished", "after the output is complete"])
)
def test_a_training_killed_after_its_end_is_found_again(project, client, under_dvc, name):
    owner, function, call, after = KILLS[name]
    ended = train_until(owner, function, call, after=after)
    assert ended.code == KILLED, ended.said
    delete_output()
    ended = train_without_steps()
    assert ended.code == 0 and "this training is already finished" in ended.said, ended.said
    (run,) = list_runs(client)
    assert run.info.status == "FINISHED" and logged_points(client, run) == read_history(Path("models/brief"))
    assert run.data.tags[runs.WEIGHTS] == digests.file_digest(Path("models/brief/weights.safetensors"))
    assert sorted(path.name for path in Path("models/brief").iterdir()) == sorted(NAMES)


@pytest.mark.nightly
def test_the_result_is_kept_until_dvc_evaluates_the_model(project, client, under_dvc):
    assert train().code == 0
    (kept,) = Path("runs").glob("*/*/brief")
    assert not list(Path("runs").glob("*/*.ckpt*")) and not list(Path("runs").glob("*.lock"))
    for name in NAMES:
        assert (kept / name).read_bytes() == Path("models/brief", name).read_bytes()
    finished_result.discard_results("brief")
    assert list(Path("runs").iterdir()) == []


@pytest.mark.nightly
def test_a_later_training_of_the_experiment_deletes_the_earlier_result(project, client, under_dvc):
    assert train().code == 0
    (first,) = Path("runs").glob("*/*/brief")
    assert train("seed=11").code == 0
    (second,) = Path("runs").glob("*/*/brief")
    assert first != second


@pytest.mark.slow
@pytest.mark.nightly
def test_the_result_in_another_store_is_recorded_as_a_full_run(project, client, under_dvc, empty_store):
    assert train().code == 0
    finished_result.shutil.copyfile(empty_store, client.tracking_uri.removeprefix("sqlite:///"))
    assert train_without_steps().code == 0
    (run,) = list_runs(client)
    assert run.info.status == "FINISHED" and run.data.params["epochs"] == "2"
    assert logged_points(client, run) == read_history(Path("models/brief"))


@pytest.mark.slow
@pytest.mark.nightly
def test_a_training_never_replaces_the_model_of_a_different_training(project, client):
    warm()
    ended = in_child(run_stage, "train", "-m", *SHORT_TRAINING, "seed=1,2")
    assert ended.code == 1 and "models/brief already contains the model of a different training" in ended.said
    assert "out=runs/seed-${seed}" in ended.said and "Traceback" not in ended.said
    (run,) = list_runs(client)
    assert run.data.params["seed"] == "1"
    assert run.data.tags[runs.WEIGHTS] == digests.file_digest(Path("models/brief/weights.safetensors"))


@pytest.mark.slow
def test_a_finished_training_is_not_repeated_without_dvc(project, client):
    assert train("seed=1").code == 0
    before = Path("models/brief/weights.safetensors").stat().st_mtime_ns
    ended = train("seed=1")
    assert ended.code == 0 and "this training is already finished, and its model folder is models/brief" in ended.said
    assert Path("models/brief/weights.safetensors").stat().st_mtime_ns == before and len(list_runs(client)) == 1


@pytest.mark.slow
@pytest.mark.nightly
def test_a_training_without_dvc_keeps_nothing(project, client):
    assert train().code == 0
    assert not Path("runs").exists() or list(Path("runs").iterdir()) == []
