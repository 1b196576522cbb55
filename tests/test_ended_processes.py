"""Test that MLflow runs of killed processes do not stay RUNNING, and that runs of other processes are not changed."""

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from mlflow import MlflowClient
from mlflow.entities import Run, ViewType

from children import KILLED, Child, at_call, die, in_child
from lectern.registry.reconcile import reconcile
from lectern.registry.registered_model import RegisteredModel
from lectern.tracking import process, runs
from lectern.tracking.ended_runs import settle_ended_runs
from lectern.tracking.process import ProcessRecord, current_process, has_ended
from lectern.tracking.store import experiment_id
from registered import NAME, register

COMMANDS = {"reconcile": reconcile, "register": lambda client: register(client, "best")}


@pytest.fixture
def one_experiment(client) -> MlflowClient:
    """Return a client of an empty store. The current folder is a project with the outputs of one experiment."""
    experiments = yaml.safe_load(Path("experiments.yaml").read_text())
    experiments["experiments"] = {"best": experiments["experiments"]["best"]}
    Path("experiments.yaml").write_text(yaml.safe_dump(experiments))
    return client


def list_runs(client: MlflowClient, view: int = ViewType.ACTIVE_ONLY) -> list[Run]:
    return list(client.search_runs([experiment_id(client, "digits")], run_view_type=view))


def run_killed(command, client: MlflowClient, method: str, call: int, after: bool) -> None:
    at_call(MlflowClient, method, call, die, after)
    command(client)


def ended_process() -> ProcessRecord:
    """Return the record of a process of this machine that has already ended."""
    child = Child(lambda: None)
    assert child.ended().code == 0
    return replace(current_process(), pid=child.process, started="1")


# Processes


def test_an_ended_process_is_detected_even_if_its_id_is_used_again():
    assert has_ended(ended_process())
    assert has_ended(replace(current_process(), started="1"))
    assert not has_ended(current_process()) and not has_ended(replace(current_process(), started=""))


def test_a_zombie_process_counts_as_ended():
    child = Child(time.sleep, 600)
    record = replace(current_process(), pid=child.process, started=process.read_status(child.process)[1])
    assert not has_ended(record) and process.is_other_running_process(record)
    os.kill(child.process, 9)
    while process.read_status(child.process)[0] != process.ZOMBIE:
        time.sleep(0.01)
    assert has_ended(record)
    child.ended()


def test_a_process_of_another_machine_or_container_counts_as_running():
    for change in ({"host": "other"}, {"machine": "0"}, {"namespace": "pid:[1]"}):
        assert not has_ended(replace(ended_process(), **change))
    assert not has_ended(replace(ended_process(), boot="0", namespace="pid:[1]"))


def test_a_process_from_before_a_restart_of_this_machine_has_ended(monkeypatch):
    # The tests may run in a container, so the namespace of this process counts as the namespace of the host.
    monkeypatch.setattr(process, "HOST_NAMESPACE", current_process().namespace)
    assert has_ended(replace(current_process(), boot="0"))


# Runs


@pytest.mark.parametrize(("record", "status"), [("ended", "KILLED"), ("running", "RUNNING"), ("none", "RUNNING")])
def test_only_the_run_of_an_ended_process_is_marked_as_killed(store, record, status):
    client = MlflowClient(store, store)
    tags = {"ended": ended_process().to_tag(), "running": current_process().to_tag(), "none": "no process"}
    created = client.create_run(experiment_id(client, "digits"), run_name="name", tags={runs.PROCESS: tags[record]})
    messages = settle_ended_runs(client)
    assert client.get_run(created.info.run_id).info.status == status
    assert [f"name: run {created.info.run_id} is marked as KILLED" in message for message in messages] == (
        [True] if record == "ended" else []
    )


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_a_run_that_was_restored_only_in_part_is_deleted_by_the_next_start(one_experiment, command):
    assert in_child(run_killed, command, one_experiment, "set_terminated", 1, False).code == KILLED
    (partial,) = list_runs(one_experiment)
    assert partial.info.status == "RUNNING"
    command(one_experiment)
    (run,) = list_runs(one_experiment)
    assert run.info.status == "FINISHED" and run.info.run_id != partial.info.run_id
    assert RegisteredModel(one_experiment, NAME).get("1").run_id == run.info.run_id


def test_a_restoration_that_fails_leaves_no_run(one_experiment, monkeypatch):
    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(MlflowClient, "log_artifacts", fail)
    with pytest.raises(OSError, match="No space left"):
        register(one_experiment, "best")
    assert list_runs(one_experiment) == []
