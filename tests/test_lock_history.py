"""Test that the config and the commit of a restored run are read from the history of `dvc.lock`."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from mlflow import MlflowClient

from lectern.registry.lineage import commit_link, config_link
from lectern.registry.reconcile import reconcile
from lectern.tracking.lock_history import find_recorded_training, folder_digest, local_files
from lectern.tracking.runs import COMMIT, WEIGHTS, find_run
from registered import NAME, paths_of, register

BEST = "best"
SCRIPT = Path("pipelines/train.py")


def git(*arguments: str) -> str:
    author = ("-c", "user.name=nobody", "-c", "user.email=nobody@localhost")
    return subprocess.run(["git", *author, *arguments], check=True, capture_output=True, text=True).stdout.strip()


def commit(*names: str) -> str:
    """Commit files and return the ID of the commit."""
    git("add", "--force", *names)
    git("commit", "--quiet", "--message=A change")
    return git("rev-parse", "HEAD")


def write_lock(**changes: Any) -> None:
    """Write the entry that DVC writes to dvc.lock after the training of the experiment."""
    entry = {
        "cmd": f"lectern launch python {SCRIPT} dataset={NAME} model=digits_cnn budget=laptop seed=7 out=models/best",
        "deps": [
            {"path": str(SCRIPT), "md5": local_files(SCRIPT.parent)[SCRIPT.name]},
            {"path": f"data/processed/{NAME}", "md5": "0" * 32},
        ],
        "params": {"conf/model/digits_cnn.yaml": {"module": {"learning_rate": 0.003}, "fit.laptop": {"epochs": 2}}},
        "outs": [{"path": "models/best", "md5": folder_digest(local_files(Path("models/best")))}],
    }
    Path("dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": {"train@best": {**entry, **changes}}}))


@pytest.fixture
def repository(evaluated_project) -> str:
    """Change to a git repository whose first commit contains the code and an older result.

    Return the ID of this commit.
    """
    git("init", "--quiet")
    write_lock(outs=[{"path": "models/best", "md5": f"{'0' * 32}.dir"}])
    return commit("pipelines", "conf", "dvc.lock")


def restored_run(client: MlflowClient):
    return find_run(client, "digits", paths_of(BEST).weights)


@pytest.mark.slow
def test_the_oldest_commit_that_names_the_outputs_has_the_config_and_the_commit(repository, client):
    write_lock()
    named = commit("dvc.lock")
    # A later commit names other outputs, because the model was trained again. The checkout has the older outputs.
    write_lock(outs=[{"path": "models/best", "md5": f"{'1' * 32}.dir"}])
    commit("dvc.lock")
    assert "best: run with its history, config, commit; lost: machine" in reconcile(client)
    run = restored_run(client)
    assert run.data.tags[COMMIT] == named
    expected = {"seed": "7", "budget": "laptop", "model": "digits_cnn", "dataset": NAME}
    expected |= {"learning_rate": "0.003", "epochs": "2"}
    assert expected.items() <= run.data.params.items()
    assert config_link(run).status == "intact" and "from dvc.lock" in config_link(run).value


@pytest.mark.slow
def test_a_commit_without_the_code_of_the_training_is_not_named_as_its_commit(repository, client):
    write_lock(deps=[{"path": str(SCRIPT), "md5": "2" * 32}])
    named = commit("dvc.lock")
    register(client, BEST)
    assert restored_run(client).data.tags[COMMIT] == f"{named}-dirty"
    assert "not committed" in commit_link(restored_run(client)).broken


@pytest.mark.nightly
def test_the_config_is_read_from_an_uncommitted_lock_and_the_commit_is_added_later(repository, client):
    write_lock()
    assert "best: run with its history, config; lost: commit, machine" in reconcile(client)
    run = restored_run(client)
    assert "Commit dvc.lock" in commit_link(run).broken and config_link(run).status == "intact"
    named = commit("dvc.lock")
    assert "best: run with its history, config, commit; lost: machine" in reconcile(client)
    completed = restored_run(client)
    assert completed.info.run_id == run.info.run_id and completed.data.tags[COMMIT] == named
    assert reconcile(client) == []


def test_a_damaged_lock_in_the_history_is_skipped(repository, client):
    write_lock()
    text = Path("dvc.lock").read_text()
    Path("dvc.lock").write_text(f"<<<<<<< HEAD\n{text}")
    commit("dvc.lock")
    Path("dvc.lock").write_text(text.replace("seed=7", "seed=8"))
    repaired = commit("dvc.lock")
    training = find_recorded_training(paths_of(BEST))
    assert training is not None and training.config["seed"] == "8" and training.commit == repaired


@pytest.mark.slow
def test_a_training_of_the_same_weights_replaces_the_restored_run_in_the_lineage(repository, client):
    from lectern.registry import lineage
    from lectern.registry.versions import open_version

    (version,) = register(client, BEST)
    experiment = restored_run(client).info.experiment_id
    tags = {WEIGHTS: version.weights, "lectern.training": "key", COMMIT: repository}
    full = client.create_run(experiment, tags=tags)
    client.log_param(full.info.run_id, "seed", "7")
    client.set_terminated(full.info.run_id, "FINISHED")
    links = {link.name: link for link in lineage.trace(*open_version(client, f"{NAME}@{version.number}"))}
    assert links["config"].value == "1 values, key key" and links["git commit"].value == repository
    assert links["run"].status == "intact"
