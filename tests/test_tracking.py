"""Tracking: a run holds what its training depended on and gave, once, and is found by what it gave."""

import csv
import json
import os
import shutil
import socket
import time
from pathlib import Path

import pandas as pd
import pytest
import yaml
from mlflow import MlflowClient
from mlflow.entities import Run

from children import KILLED, Child, Ended, at_call, await_file, die, in_child, pause, run_stage, warm
from lectern.artifacts.digests import file_digest
from lectern.artifacts.history_file import Record
from lectern.errors import UserError
from lectern.tracking import store as tracking

BRIEFLY = (  # two epochs of four steps on a small network
    "dataset=sample_digits", "model=digits_resnet", "out=models/brief", "trainer.threads=1",
    "model.module.network={class:DigitResNet,width:8,blocks:1}", "model.batches.batch_size=64",
    "model.fit.laptop.epochs=2",
)  # fmt: skip


@pytest.fixture
def project(project, raw_digits, tmp_path) -> Path:
    """The checkout with few images in it."""
    from lectern.tasks.digits.data.preprocess import TEST_FILES, TRAIN_FILES, preprocess, read_idx
    from lectern.tasks.digits.data.samples import write_idx

    for name, dimensions in zip((*TRAIN_FILES, *TEST_FILES), (3, 1, 3, 1), strict=True):
        write_idx(tmp_path / name, read_idx(raw_digits / name, dimensions)[:320])
    shutil.rmtree(project / "data/processed/sample_digits")
    preprocess(tmp_path, project / "data/processed/sample_digits", validation=64)
    return project


def train(*overrides: str) -> Ended:
    warm()
    return in_child(run_stage, "train", *BRIEFLY, *overrides)


def train_until(owner: object, method: str, call: int, act=die, after: bool = False) -> Ended:
    warm()

    def until() -> None:
        at_call(owner, method, call, act, after)
        run_stage("train", *BRIEFLY)

    return in_child(until)


@pytest.fixture
def client(store) -> MlflowClient:
    return MlflowClient(store, store)


def runs(client: MlflowClient) -> list[Run]:
    return list(client.search_runs([tracking.experiment_id(client, "digits")]))


def history(folder: Path) -> list[tuple[int, str, float]]:
    with open(folder / "history.csv") as file:
        return sorted((int(row["step"]), row["name"], float(row["value"])) for row in csv.DictReader(file))


def points(client: MlflowClient, run: Run) -> list[tuple[int, str, float]]:
    names = client.get_run(run.info.run_id).data.metrics
    logged = [point for name in names for point in client.get_metric_history(run.info.run_id, name)]
    return sorted((point.step, point.key, point.value) for point in logged)


def test_a_run_holds_what_its_training_depended_on_and_gave(project, client):
    ended = train("seed=11")
    assert ended.code == 0, ended.said
    (run,) = runs(client)
    assert run.info.status == "FINISHED" and run.info.run_name == "brief"
    params, tags = run.data.params, run.data.tags
    assert params["seed"] == "11" and params["model.fit.laptop.epochs"] == "2"
    wanted = tracking.flatten(yaml.safe_load(Path("conf/model/digits_resnet.yaml").read_text()), "model.")
    assert wanted.keys() <= params.keys() and params["model.module.shift"] == str(wanted["model.module.shift"])
    assert {"dataset.preprocess.validation", "trainer.threads", "budget"} <= params.keys()
    assert points(client, run) == history(Path("models/brief"))
    assert {"train_loss", "validation_loss", "validation_accuracy"} <= run.data.metrics.keys()
    assert tags["lectern.weights"] == file_digest(Path("models/brief/weights.safetensors"))
    assert tags["lectern.budget"] == "laptop" and tags["dvc.stage"] == "train@brief"
    assert tags["lectern.commit"] and "cores" in tags["lectern.machine"]
    ((dataset,),) = [[entry.dataset for entry in run.inputs.dataset_inputs]]
    assert dataset.name == "sample_digits"
    assert file_digest(Path("data/processed/sample_digits/facts.json")).startswith(dataset.digest)
    assert json.loads(dataset.profile) == {"train": 256, "validation": 64, "test": 300}
    assert client.get_experiment(run.info.experiment_id).name == "lectern/digits"
    assert tracking.find_run(client, "digits", tags["lectern.weights"]).info.run_id == run.info.run_id
    assert not Path("runs").exists() or list(Path("runs").iterdir()) == []  # what only resumed a training is gone


def test_a_killed_training_goes_on_in_the_same_run_with_no_point_doubled(project, client):
    from lectern.training.fit import pl

    ended = train_until(pl.Trainer, "save_checkpoint", 1, after=True)
    assert ended.code == KILLED, ended.said
    (killed,) = runs(client)
    assert points(client, killed)  # the first epoch has been told
    assert train().code == 0
    (run,) = runs(client)
    assert run.info.run_id == killed.info.run_id and run.info.status == "FINISHED"
    assert points(client, run) == history(Path("models/brief"))


def test_a_training_may_go_on_under_another_trainer_and_the_run_tells(project, client):
    from lectern.tasks.digits.model.module import DigitClassifier

    assert train_until(DigitClassifier, "training_step", 6).code == KILLED
    ended = train("trainer.threads=2")
    assert ended.code == 0, ended.said
    (run,) = runs(client)
    assert run.data.params["trainer.threads"] == "1" and run.data.tags["resumed.trainer.threads"] == "2"


def test_a_killed_stage_ends_with_the_bytes_of_an_undisturbed_one(project, client):
    from lectern.artifacts import model_folder

    assert train().code == 0
    names = ("weights.safetensors", "module.json", "history.csv")
    undisturbed = [Path("models/brief", name).read_bytes() for name in names]
    for name in names:
        Path("models/brief", name).unlink()
    assert train_until(model_folder, "save", 1).code == KILLED  # after the end, before the export
    assert not Path("models/brief/weights.safetensors").exists() and list(Path("runs").glob("*/last.ckpt"))
    assert train().code == 0
    assert [Path("models/brief", name).read_bytes() for name in names] == undisturbed
    statuses = [run.info.status for run in runs(client)]
    assert statuses == ["FINISHED"] * 2  # the undisturbed run, and one for the killed and resumed


def test_a_failed_training_is_told_as_failed_and_leaves_no_model(project, client):
    ended = train("model.module.learning_rate=1e30")
    assert ended.code == 1 and "training has diverged" in ended.said and "Traceback" not in ended.said
    assert [run.info.status for run in runs(client)] == ["FAILED"]
    assert not Path("models/brief").exists()


def test_a_training_that_is_running_already_is_refused_and_loses_nothing(project, client):
    from lectern.training.fit import pl

    def train_and_pause() -> None:
        at_call(pl.Trainer, "save_checkpoint", 1, pause, after=True)
        run_stage("train", *BRIEFLY)

    warm()
    first = Child(train_and_pause)
    await_file("paused")
    second = train()
    Path("go on").touch()
    first = first.ended()
    assert first.code == 0, first.said
    assert second.code == 1 and "Traceback" not in second.said
    assert "is in use: this very training is running in another process. Wait for it, or end it." in second.said
    (run,) = runs(client)
    assert run.info.status == "FINISHED" and points(client, run) == history(Path("models/brief"))


def test_a_run_by_hand_keeps_its_model_under_runs(project, client):
    ended = train("out=null")
    assert ended.code == 0, ended.said
    (folder,) = Path("runs").glob("*/sample_digits-digits_resnet")
    assert {path.name for path in folder.iterdir()} == {"weights.safetensors", "module.json", "history.csv"}
    assert not Path("models").exists()
    assert sorted(path.name for path in Path().iterdir()) == sorted(
        ["conf", "pipelines", "dvc.yaml", "params.yaml", "data", "runs"]
    )


def test_rows_beyond_what_the_store_takes_at_once_are_all_logged(client):
    run = client.create_run(tracking.experiment_id(client, "digits"))
    rows = [Record(step, 0, f"train_{name}", float(step)) for step in range(1, 301) for name in "abcde"]
    tracking.Tracker(client, run).log(rows, [])
    assert points(client, run) == sorted((row.step, row.name, row.value) for row in rows)


def test_of_several_runs_with_these_weights_the_newest_finished_is_found(client):
    experiment = tracking.experiment_id(client, "digits")
    made = [client.create_run(experiment, start_time=start, tags={tracking.WEIGHTS: "w"}) for start in (1, 2, 3)]
    for run in made[:2]:
        client.set_terminated(run.info.run_id, "FINISHED")
    client.set_terminated(made[2].info.run_id, "FAILED")
    assert tracking.find_run(client, "digits", "w").info.run_id == made[1].info.run_id
    assert tracking.find_run(client, "digits", "other") is None


def test_a_deleted_experiment_is_answered_with_what_to_do(client):
    client.delete_experiment(tracking.experiment_id(client, "digits"))
    with pytest.raises(UserError, match="'lectern/digits' has been deleted. Restore it: mlflow experiments restore"):
        tracking.experiment_id(client, "digits")


def test_the_local_store_is_an_absolute_address_at_the_root_of_the_checkout(monkeypatch, tmp_path):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    assert tracking.store_address() == f"sqlite:///{Path(__file__).parents[1] / 'mlflow.db'}"


# A store that cannot be had


@pytest.fixture
def closed() -> str:
    """An address where nobody listens."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{unused.getsockname()[1]}"


@pytest.mark.parametrize("stage", ["train", "evaluate", "register"])
def test_a_tracking_server_that_is_down_is_said_at_the_start(project, closed, monkeypatch, stage):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", closed)
    warm()
    overrides = BRIEFLY if stage == "train" else ("experiment=brief", "dataset=sample_digits")
    started = time.monotonic()
    ended = in_child(run_stage, stage, *overrides)
    assert time.monotonic() - started < 15
    assert ended.code == 1 and "Traceback" not in ended.said
    assert f"The tracking store {closed} does not answer" in ended.said and "MLFLOW_TRACKING_URI" in ended.said
    assert not Path("models").exists() and not Path("reports").exists() and not Path("metrics").exists()


def test_an_address_of_no_store_is_said(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "gopher://here")
    with pytest.raises(UserError, match="gopher://here does not answer.*MLFLOW_TRACKING_URI"):
        tracking.connect()


@pytest.mark.faults  # MLflow tries for a quarter of a minute
def test_a_file_that_is_no_database_is_said(monkeypatch, tmp_path):
    (tmp_path / "broken.db").write_bytes(b"this is no database" * 100)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/broken.db")
    with pytest.raises(UserError, match="does not answer.*MLFLOW_TRACKING_URI"):
        tracking.connect()


def test_a_store_that_stops_answering_is_said_and_gone_on_from(project, client):
    from mlflow.exceptions import MlflowException

    def lose() -> None:
        def lost(*_, **__):
            raise MlflowException("the server has gone away\nand much more")

        MlflowClient.log_batch = MlflowClient.set_terminated = lost

    ended = train_until(tracking.Tracker, "log", 2, lose)
    assert ended.code == 1 and "Traceback" not in ended.said
    assert "stopped answering: the server has gone away. Run it again" in ended.said
    assert train().code == 0
    (run,) = runs(client)
    assert run.info.status == "FINISHED" and points(client, run) == history(Path("models/brief"))


def test_asking_whether_the_store_answers_leaves_the_settings_as_they_were(store, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "77")
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", raising=False)
    tracking.connect()
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "77" and "MLFLOW_HTTP_REQUEST_MAX_RETRIES" not in os.environ


# A disk that is full


def test_a_full_disk_while_a_checkpoint_is_written_is_said_and_gone_on_from(project, client):
    from lectern.training import checkpointing

    def full(checkpoint: object, file) -> None:
        file.write(b"half of it")
        raise OSError(28, "No space left on device")

    ended = train_until(
        checkpointing.AtomicCheckpointIO, "save_checkpoint", 2, lambda: setattr(checkpointing.torch, "save", full)
    )
    assert ended.code == 1 and "Traceback" not in ended.said
    assert "last.ckpt could not be written: [Errno 28] No space left on device" in ended.said
    assert not Path("models").exists() and not list(Path("runs").glob("*/*.part"))
    assert train().code == 0
    assert points(client, runs(client)[0]) == history(Path("models/brief"))


def test_a_full_disk_while_the_model_is_written_is_said_and_gone_on_from(project, client):
    from lectern.artifacts import model_folder

    def fill() -> None:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    ended = train_until(model_folder, "save_file", 1, fill)
    assert ended.code == 1 and "Traceback" not in ended.said, ended.said
    assert "could not be written to models/brief" in ended.said and "File too large" in ended.said
    assert not Path("models/brief/weights.safetensors").exists() and not Path("models/brief/module.json").exists()
    assert train().code == 0
    assert pd.read_csv("models/brief/history.csv")["step"].max() == 8


def test_a_full_disk_in_preprocessing_leaves_no_data_set(project, raw_digits):
    import resource

    def with_little_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
        run_stage("preprocess", "dataset=sample_digits")

    warm()
    shutil.copytree(raw_digits, "data/raw/sample_digits")
    shutil.rmtree("data/processed/sample_digits")
    ended = in_child(with_little_room)
    assert ended.code == 1 and "Traceback" not in ended.said, ended.said
    assert "Nothing half-written was left: free some space and run it again" in ended.said
    assert list(Path("data/processed").iterdir()) == []
    assert in_child(run_stage, "preprocess", "dataset=sample_digits").code == 0
    assert Path("data/processed/sample_digits/facts.json").is_file()
