"""Test trainings whose tracking store is lost for some time or for good: a training ends normally and loses nothing."""

import json
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from checkout import SAMPLE, write_experiments
from children import Child, Ended, at_call, await_file, in_child, lectern, pause, run_stage, warm
from lectern.tracking import delivery, recording
from lectern.tracking.pending_runs import deliver_pending_runs
from lectern.tracking.tracker import Update
from short_training import SHORT_TRAINING, client, list_runs, logged_points, project, read_history, train
from store_servers import MlflowServer, find_postgres, free_port, run_postgres

__all__ = ["client", "project"]  # imported because they are fixtures
LOST, FOUND = "does not accept the metrics of this training", "the tracking store answers again"


@pytest.fixture(scope="module")
def module_server(empty_store, tmp_path_factory) -> Iterator[MlflowServer]:
    """Run one server for all tests of this module, because its start takes many seconds."""
    folder = tmp_path_factory.mktemp("server")
    database = folder / "server.db"
    database.write_bytes(empty_store.read_bytes())
    server = MlflowServer(f"sqlite:///{database}", folder)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def server(module_server, project, monkeypatch) -> MlflowServer:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", module_server.address)
    return module_server


def start_training(*overrides: str, patience: float = 5.0) -> Child:
    """Start a training that waits after its first epoch until the file `go on` exists."""

    def train_and_pause() -> None:
        recording.PATIENCE = patience
        at_call(recording.TrainingRecord, "log_history", 2, pause)
        run_stage("train", *SHORT_TRAINING, *overrides)

    warm("tracking.recording", "tracking.run_description")
    training = Child(train_and_pause)
    await_file("paused")
    return training


def go_on(training: Child) -> Ended:
    Path("go on").touch()
    return training.ended()


def trained_run(client: MlflowClient, seed: int) -> Run:
    """Return the only run of the training with a seed."""
    (run,) = [run for run in list_runs(client) if run.data.params["seed"] == str(seed)]
    return run


def check_complete(client: MlflowClient, seed: int) -> None:
    """Check that the only run of a training has every value of its history exactly once."""
    run = trained_run(client, seed)
    assert run.info.status == "FINISHED" and "lectern.weights" in run.data.tags
    assert logged_points(client, run) == read_history(Path("models/brief"))
    assert not Path("runs/pending").exists()


@pytest.mark.slow
@pytest.mark.nightly
def test_a_training_delivers_its_metrics_after_the_server_was_restarted(server):
    training = start_training("seed=1", patience=120.0)
    server.stop()
    Path("go on").touch()
    time.sleep(8)
    server.start()
    ended = training.ended()
    assert ended.code == 0 and ended.said.count(LOST) == 1 and ended.said.count(FOUND) == 1, ended.said
    assert f"the run of this training: {server.address}/#/experiments/" in ended.said, ended.said
    check_complete(MlflowClient(server.address), 1)


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault", ["frozen", *(pytest.param(fault, marks=pytest.mark.nightly) for fault in ("stopped", "failing"))]
)
def test_a_training_whose_store_is_lost_ends_normally_and_is_delivered_by_reconcile(server, fault):
    seed = {"stopped": 2, "frozen": 3, "failing": 4}[fault]
    training = start_training(f"seed={seed}")
    database = server.store.removeprefix("sqlite:///")
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        if fault == "failing":  # the server answers 500, because its database is locked
            connection.execute("BEGIN EXCLUSIVE")
        else:
            server.send(signal.SIGKILL if fault == "stopped" else signal.SIGSTOP)
        ended = go_on(training)
    assert ended.code == 0 and ended.said.count("the tracking store does not answer") == 1, ended.said
    assert "run: lectern reconcile" in ended.said and "Traceback" not in ended.said
    assert Path("models/brief/weights.safetensors").is_file()
    if fault == "stopped":
        server.process.wait()
        server.start()
    elif fault == "frozen":
        server.send(signal.SIGCONT)
    reconciled = lectern("reconcile")
    assert reconciled.code == 0 and "brief: run " in reconciled.said, reconciled.said
    check_complete(MlflowClient(server.address), seed)


@pytest.mark.slow
@pytest.mark.postgres
def test_a_training_ends_normally_if_the_database_of_its_server_is_lost(project, monkeypatch, tmp_path):
    programs = find_postgres()
    if programs is None:
        pytest.fail("PostgreSQL is not installed: apt-get install postgresql")
    with run_postgres(programs) as postgres:
        server = MlflowServer(postgres.create("lost"), tmp_path)
        server.start()
        try:
            monkeypatch.setenv("MLFLOW_TRACKING_URI", server.address)
            training = start_training("seed=5")
            postgres.stop()
            ended = go_on(training)
            assert ended.code == 0 and LOST in ended.said, ended.said
            postgres.restart()
            assert lectern("reconcile").code == 0
            check_complete(MlflowClient(server.address), 5)
        finally:
            server.stop()


@pytest.mark.slow
def test_tracking_later_trains_and_evaluates_without_a_store_and_reconcile_delivers_all(project, store, monkeypatch):
    monkeypatch.setenv("TRACKING", "later")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    write_experiment()
    ended = train()
    assert ended.code == 0 and "because of tracking=later" in ended.said, ended.said
    for stage in ("evaluate", "register"):
        ended = in_child(run_stage, stage, "experiment=brief", "dataset=sample_digits")
        assert ended.code == 0, ended.said
    assert "To register it: lectern reconcile" in ended.said
    # A second start of the same training finds its result and its pending run.
    assert "already finished" in train().said
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    monkeypatch.delenv("TRACKING")
    reconciled = lectern("reconcile")
    assert reconciled.code == 0 and "sample_digits version 1" in reconciled.said, reconciled.said
    client = MlflowClient(store, store)
    (run,) = list_runs(client)
    history = [point for point in logged_points(client, run) if not point[1].startswith("test/")]
    assert run.info.status == "FINISHED" and history == read_history(Path("models/brief"))
    assert run.data.metrics["test/score"] == json.loads(Path("metrics/brief.json").read_text())["score"]
    assert run.info.end_time - run.info.start_time < 600_000 and run.data.tags["lectern.machine"]
    assert "Nothing was missing" in lectern("reconcile").said


def write_experiment() -> None:
    brief = {"task": "digits", "dataset": "sample_digits", "model": "digits_resnet"}
    write_experiments(Path("experiments.yaml"), SAMPLE | {"experiments": {"brief": brief}})


@pytest.mark.nightly
def test_an_evaluation_whose_store_is_lost_is_logged_by_the_next_stage(server):
    from lectern.tracking import restored_run

    write_experiment()
    assert train("seed=6").code == 0

    def evaluate() -> None:
        at_call(restored_run, "find_run", 1, partial(server.send, signal.SIGKILL), after=True)
        run_stage("evaluate", "experiment=brief", "dataset=sample_digits")

    ended = in_child(evaluate)
    assert ended.code == 0 and "The next stage writes them to the tracking store" in ended.said, ended.said
    server.process.wait()
    server.start()
    client = MlflowClient(server.address)
    assert "test/score" not in trained_run(client, 6).data.metrics
    assert in_child(run_stage, "register", "experiment=brief", "dataset=sample_digits").code == 0
    run = trained_run(client, 6)
    assert run.data.metrics["test/score"] == json.loads(Path("metrics/brief.json").read_text())["score"]


def test_an_unknown_value_of_tracking_is_refused(project):
    ended = train("tracking=never")
    assert ended.code == 1 and "tracking is 'never'; expected 'now' or 'later'" in ended.said, ended.said


def test_a_damaged_file_of_a_pending_run_is_named_and_the_other_runs_are_delivered(project, client):
    Path("runs/pending").mkdir(parents=True)
    Path("runs/pending/0123.json").write_text("{")
    (message,) = deliver_pending_runs(client)
    assert "runs/pending/0123.json is damaged" in message and "Delete the file" in message


def test_updates_are_written_in_order_and_once_after_failures(capsys):
    attempts, written = iter([OSError("no connection"), OSError("no connection"), None, None]), []

    def write(update: Update) -> None:
        error = next(attempts)
        if error:
            raise error
        written.append(update)

    updates = [Update(tags={"number": str(number)}) for number in (1, 2)]
    writer = delivery.Delivery(write, updates[:1])
    writer.add(updates[1])
    assert writer.finish(patience=20.0) == [] and written == updates
    messages = capsys.readouterr().err
    assert messages.count(LOST) == 1 and messages.count(FOUND) == 1


def test_the_message_about_a_lost_store_contains_no_password(monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://ada:marker@127.0.0.1:1")

    def fail(_: Update) -> None:
        raise OSError("http://ada:marker@127.0.0.1:1 has gone away\x1b[2J")

    delivery.Delivery(fail, [Update(status="FINISHED")]).finish(patience=0.2)
    message = capsys.readouterr().err
    assert LOST in message and "marker" not in message and "\x1b" not in message


def test_updates_that_cannot_be_written_are_returned():
    def fail(_: Update) -> None:
        raise OSError("no connection")

    updates = [Update(tags={"number": str(number)}) for number in (1, 2)]
    assert delivery.Delivery(fail, updates).finish(patience=0.2) == updates
