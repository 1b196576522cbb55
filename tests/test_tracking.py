"""Test MLflow runs of trainings: the recorded values, resuming, and the search for a run by its weights."""

import json
import os
import socket
import time
from pathlib import Path

import pytest
import yaml
from mlflow.artifacts import load_text
from mlflow.data import get_source

from children import KILLED, Child, at_call, await_file, in_child, pause, run_stage, warm
from lectern.artifacts.digests import file_digest
from lectern.artifacts.history_file import Record
from lectern.errors import UserError
from lectern.tracking import runs as run_records
from lectern.tracking.ended_runs import settle_ended_runs
from lectern.tracking.store import connect, experiment_id, store_address
from lectern.tracking.tracker import Tracker, history_update, metric_name
from short_training import (
    SHORT_TRAINING,
    client,
    list_runs,
    logged_points,
    project,
    read_history,
    train,
    train_until,
)  # fmt: skip

__all__ = ["client", "project"]  # imported because they are fixtures


@pytest.mark.slow
def test_a_run_records_config_data_code_and_results(project, client):
    ended = train("seed=11")
    assert ended.code == 0, ended.said
    (run,) = list_runs(client)
    assert run.info.status == "FINISHED" and run.info.run_name == "brief"
    params, tags = run.data.params, run.data.tags
    assert params["seed"] == "11" and params["epochs"] == "2" and params["network.width"] == "8"
    assert (params["dataset"], params["model"], params["budget"]) == ("sample_digits", "digits_resnet", "laptop")
    assert "threads=1" in params["trainer"]
    config = yaml.safe_load(load_text(f"{run.info.artifact_uri}/config.yaml"))
    assert config["dataset"]["preprocess"] and config["model"]["fit"]["full"] and config["seed"] == 11
    assert logged_points(client, run) == read_history(Path("models/brief"))
    assert {"train/loss", "validation/loss", "validation/accuracy"} <= run.data.metrics.keys()
    assert tags["lectern.weights"] == file_digest(Path("models/brief/weights.safetensors"))
    assert tags["lectern.budget"] == "laptop" and tags["dvc.stage"] == "train@brief"
    assert tags["lectern.commit"] and "cores" in tags["lectern.machine"]
    ((dataset,),) = [[entry.dataset for entry in run.inputs.dataset_inputs]]
    assert dataset.name == "sample_digits"
    assert file_digest(Path("data/processed/sample_digits/facts.json")).startswith(dataset.digest)
    assert json.loads(dataset.profile) == {"train": 256, "validation": 64, "test": 300}
    assert Path(get_source(dataset).load()) == project / "data/processed/sample_digits"
    assert client.get_experiment(run.info.experiment_id).name == "lectern/digits"
    assert run_records.find_run(client, "digits", tags["lectern.weights"]).info.run_id == run.info.run_id
    # The checkpoints of the finished training are deleted.
    assert not Path("runs").exists() or list(Path("runs").iterdir()) == []


@pytest.mark.slow
def test_a_killed_training_resumes_in_the_same_run_without_duplicate_points(project, client):
    from lectern.training.fit import pl

    ended = train_until(pl.Trainer, "save_checkpoint", 1, after=True)
    assert ended.code == KILLED, ended.said
    (killed,) = list_runs(client)
    assert logged_points(client, killed)  # The run already contains the points of the first epoch.
    (message,) = settle_ended_runs(client)
    assert f"run {killed.info.run_id} is marked as KILLED" in message and list_runs(client)[0].info.status == "KILLED"
    assert train().code == 0
    (run,) = list_runs(client)
    assert run.info.run_id == killed.info.run_id and run.info.status == "FINISHED"
    assert logged_points(client, run) == read_history(Path("models/brief"))


@pytest.mark.slow
@pytest.mark.nightly
def test_a_run_records_that_it_was_resumed_with_another_trainer(project, client):
    from lectern.tasks.digits.model.module import DigitClassifier

    assert train_until(DigitClassifier, "training_step", 6).code == KILLED
    ended = train("trainer.threads=2")
    assert ended.code == 0, ended.said
    (run,) = list_runs(client)
    assert "threads=1" in run.data.params["trainer"] and "threads=2" in run.data.tags["resumed.trainer"]


@pytest.mark.slow
def test_a_stage_killed_before_the_export_writes_identical_files_when_run_again(project, client):
    from lectern.artifacts import model_folder

    assert train().code == 0
    names = ("weights.safetensors", "module.json", "history.csv")
    undisturbed = [Path("models/brief", name).read_bytes() for name in names]
    for name in names:
        Path("models/brief", name).unlink()
    # The kill comes after the training and before the model is written.
    assert train_until(model_folder, "save_model", 1).code == KILLED
    assert not Path("models/brief/weights.safetensors").exists() and list(Path("runs").glob("*/last.ckpt"))
    assert train().code == 0
    assert [Path("models/brief", name).read_bytes() for name in names] == undisturbed
    statuses = [run.info.status for run in list_runs(client)]
    # one run for the uninterrupted training, and one run for the killed and resumed training
    assert statuses == ["FINISHED"] * 2


@pytest.mark.slow
def test_a_failed_training_marks_its_run_failed_and_leaves_no_model(project, client):
    ended = train("model.module.learning_rate=1e30")
    assert ended.code == 1 and "Training has diverged" in ended.said and "Traceback" not in ended.said
    assert [run.info.status for run in list_runs(client)] == ["FAILED"]
    assert not Path("models/brief").exists()


@pytest.mark.slow
def test_a_second_run_of_the_same_training_is_refused(project, client):
    from lectern.training.fit import pl

    def train_and_pause() -> None:
        at_call(pl.Trainer, "save_checkpoint", 1, pause, after=True)
        run_stage("train", *SHORT_TRAINING)

    warm()
    first = Child(train_and_pause)
    await_file("paused")
    second = train()
    Path("go on").touch()
    first = first.ended()
    assert first.code == 0, first.said
    assert second.code == 1 and "Traceback" not in second.said
    assert (
        "is in use: another process runs the same training. "
        "Wait until the other process has finished, or stop the process."
    ) in second.said
    (run,) = list_runs(client)
    assert run.info.status == "FINISHED" and logged_points(client, run) == read_history(Path("models/brief"))


@pytest.mark.faults
def test_eight_trainings_at_once_lose_no_metric(project, client):
    """SQLite locks the complete database for each write."""
    warm()
    children = [
        Child(run_stage, "train", *SHORT_TRAINING, f"seed={seed}", f"out=models/brief-{seed}") for seed in range(8)
    ]
    for child in children:
        ended = child.ended()
        assert ended.code == 0 and "locked" not in ended.said, ended.said
    runs = {run.info.run_name: run for run in list_runs(client)}
    assert sorted(runs) == [f"brief-{seed}" for seed in range(8)]
    for name, run in runs.items():
        assert run.info.status == "FINISHED" and logged_points(client, run) == read_history(Path("models", name))


@pytest.mark.slow
@pytest.mark.nightly
def test_training_without_an_output_folder_writes_the_model_below_runs(project, client):
    ended = train("out=null")
    assert ended.code == 0, ended.said
    (folder,) = Path("runs").glob("*/sample_digits-digits_resnet")
    assert {path.name for path in folder.iterdir()} == {"weights.safetensors", "module.json", "history.csv"}
    assert not Path("models").exists()
    assert sorted(path.name for path in Path().iterdir()) == sorted(
        ["conf", "pipelines", "dvc.yaml", "experiments.yaml", "params.yaml", "data", "runs"]
    )


def test_more_records_than_one_request_accepts_are_all_logged(client):
    run = client.create_run(experiment_id(client, "digits"))
    records = [Record(step, 0, f"train_{name}", float(step)) for step in range(1, 301) for name in "abcde"]
    Tracker(client, run.info.run_id).write(history_update(records, []))
    assert logged_points(client, run) == sorted(
        (record.step, metric_name(record.name), record.value) for record in records
    )


def test_the_newest_finished_run_with_the_weights_is_found(client):
    experiment = experiment_id(client, "digits")
    created = [client.create_run(experiment, start_time=start, tags={run_records.WEIGHTS: "w"}) for start in (1, 2, 3)]
    for run in created[:2]:
        client.set_terminated(run.info.run_id, "FINISHED")
    client.set_terminated(created[2].info.run_id, "FAILED")
    assert run_records.find_run(client, "digits", "w").info.run_id == created[1].info.run_id
    assert run_records.find_run(client, "digits", "other") is None


def test_a_deleted_experiment_is_reported_with_the_command_that_restores_it(client):
    client.delete_experiment(experiment_id(client, "digits"))
    with pytest.raises(UserError, match="'lectern/digits' has been deleted. Run `mlflow experiments restore"):
        experiment_id(client, "digits")


def test_the_default_store_is_a_file_at_the_root_of_the_checkout(monkeypatch, tmp_path):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    assert store_address() == f"sqlite:///{Path(__file__).parents[1] / 'mlflow.db'}"


# Stores that do not answer


@pytest.fixture
def closed_address() -> str:
    """Return an address at which no server listens."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{unused.getsockname()[1]}"


@pytest.mark.parametrize("stage", ["train", "evaluate", "register"])
def test_a_stage_reports_an_unreachable_tracking_server_before_it_starts(project, closed_address, monkeypatch, stage):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", closed_address)
    warm()
    overrides = SHORT_TRAINING if stage == "train" else ("experiment=brief", "dataset=sample_digits")
    started = time.monotonic()
    ended = in_child(run_stage, stage, *overrides)
    assert time.monotonic() - started < 60  # MLflow alone retries for several minutes
    assert ended.code == 1 and "Traceback" not in ended.said
    assert f"The tracking store {closed_address} does not answer" in ended.said and "MLFLOW_TRACKING_URI" in ended.said
    assert not Path("models").exists() and not Path("reports").exists() and not Path("metrics").exists()


def test_an_invalid_store_address_is_reported(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "gopher://here")
    with pytest.raises(UserError, match="gopher://here does not answer.*MLFLOW_TRACKING_URI"):
        connect()


@pytest.mark.faults  # This test is slow, because MLflow retries for 15 seconds.
def test_a_file_that_is_not_a_database_is_reported(monkeypatch, tmp_path):
    (tmp_path / "broken.db").write_bytes(b"not a database" * 100)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/broken.db")
    with pytest.raises(UserError, match="does not answer.*MLFLOW_TRACKING_URI"):
        connect()


def test_connecting_does_not_change_the_environment(store, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "77")
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", raising=False)
    connect()
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "77" and "MLFLOW_HTTP_REQUEST_MAX_RETRIES" not in os.environ
