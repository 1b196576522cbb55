"""Test that commands work after runs were deleted with `mlflow runs delete` or `mlflow gc`."""

import shutil
from pathlib import Path

import pytest
from mlflow import MlflowClient

from children import in_child, lectern
from lectern.registry import lineage
from lectern.registry.reconcile import reconcile
from lectern.registry.registered_model import RegisteredModel
from lectern.serving.champions import load_champion, load_version
from lectern.serving.models_tab import run_url
from lectern.serving.settings import read_settings
from lectern.tracking import runs
from registered import BEST, BETTER, NAME, TRAINING_IMAGES, WEAK, challenger, champion, promote, register, rollback

REPLACEMENT = "4"


@pytest.fixture
def own_client(client) -> MlflowClient:
    """Return a client of a store whose files no other test uses, because `mlflow gc` deletes files of the store."""
    register(client, *TRAINING_IMAGES)
    return client


def delete_run(client: MlflowClient, version: str) -> str:
    """Delete the run of a version as `mlflow runs delete` does, and return its ID."""
    run_id: str = client.get_model_version(NAME, version).run_id
    client.delete_run(run_id)
    return run_id


def delete_run_permanently(client: MlflowClient, version: str) -> str:
    """Delete the run of a version and the files of the run, as `mlflow gc` does."""
    from mlflow.cli import cli

    run_id = delete_run(client, version)
    ended = in_child(cli, ["gc", "--backend-store-uri", client.tracking_uri, "--run-ids", run_id])
    assert ended.code == 0, ended.said
    return run_id


def broken_links(client: MlflowClient, version: str) -> dict[str, str]:
    model = RegisteredModel(client, NAME)
    return {link.name: link.broken for link in lineage.trace(model, model.get(version)) if link.broken}


@pytest.mark.slow
@pytest.mark.nightly
def test_reconcile_restores_a_run_that_is_marked_as_deleted(registered_client):
    run_id = delete_run(registered_client, BEST)
    assert "run" in broken_links(registered_client, BEST)
    assert reconcile(registered_client) == [f"{NAME} version {BEST}: restored the deleted run {run_id}"]
    assert reconcile(registered_client) == [] and "run" not in broken_links(registered_client, BEST)
    assert len(RegisteredModel(registered_client, NAME).versions) == 3


def test_register_restores_a_run_that_is_marked_as_deleted(registered_client):
    delete_run(registered_client, BEST)
    (version,) = register(registered_client, "best")
    assert str(version.number) == BEST and "run" not in broken_links(registered_client, BEST)


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        pytest.param(reconcile, id="reconcile"),
        pytest.param(lambda client: register(client, "best"), id="register", marks=pytest.mark.nightly),
    ],
)
def test_a_new_version_replaces_a_version_without_a_run(own_client, command):
    promote(own_client, BETTER)
    promote(own_client, BEST)
    run_id = delete_run_permanently(own_client, BEST)
    command(own_client)
    model = RegisteredModel(own_client, NAME)
    assert str(model.champion_number) == REPLACEMENT and challenger(own_client) == "better"
    assert model.get(REPLACEMENT).identity == model.get(BEST).identity
    assert load_champion(NAME, "digits", own_client) and "run" not in broken_links(own_client, REPLACEMENT)
    message = (
        f"{NAME} version 3 (best): the run {run_id} of this version was deleted permanently. "
        f"{NAME} version 4 has the same content and replaces this version, "
        "so delete version 3 on the page of the model in MLflow."
    )
    assert reconcile(own_client) == [message]
    own_client.delete_model_version(NAME, BEST)
    assert "decisions back to the tracking store" in "".join(reconcile(own_client))
    assert reconcile(own_client) == []
    assert rollback(own_client).experiment == "better"


@pytest.mark.nightly
def test_a_version_without_a_run_and_outputs_is_named_and_other_models_are_restored(own_client):
    for version in (WEAK, BEST):
        delete_run_permanently(own_client, version)
    shutil.rmtree("models/weak")
    messages = "\n".join(reconcile(own_client))
    assert f"{NAME} version 1 (weak): the run" in messages and "no matching outputs exist in this checkout" in messages
    assert f"best: {NAME} version 4" in messages and messages.count("Check out the commit") == 1


@pytest.mark.nightly
def test_every_command_works_after_runs_were_deleted(own_client):
    promote(own_client, BEST)
    served = load_version(own_client, RegisteredModel(own_client, NAME).get(BEST))
    delete_run_permanently(own_client, BEST)
    page = f"/#/models/{NAME}/versions/{BEST}?workflowType=machine_learning"
    assert run_url(own_client, served, read_settings()).endswith(page)
    for words in (
        ["registry", "list"],
        ["registry", "show", NAME],
        ["lineage", NAME],
        ["promote", NAME],
        ["reconcile"],
    ):
        ended = lectern(*words)
        assert "Traceback" not in ended.said and ended.code in (0, 3), ended.said
    assert champion(own_client) == "best"


@pytest.mark.slow
def test_a_deleted_mlflow_experiment_is_named_and_the_audit_log_is_restored(registered_client):
    promote(registered_client, BEST)
    Path("registry", f"{NAME}.jsonl").unlink()
    experiment = registered_client.get_experiment_by_name("lectern/digits")
    registered_client.delete_experiment(experiment.experiment_id)
    messages = reconcile(registered_client)
    assert any("has been deleted. Run `mlflow experiments restore" in message for message in messages), messages
    assert Path("registry", f"{NAME}.jsonl").is_file()


def test_a_training_is_preferred_to_a_restored_run(registered_client):
    weights = RegisteredModel(registered_client, NAME).get(BEST).weights
    restored = runs.find_run(registered_client, "digits", weights)
    experiment = restored.info.experiment_id
    full = registered_client.create_run(experiment, start_time=1, tags={runs.WEIGHTS: weights})
    registered_client.set_terminated(full.info.run_id, "FINISHED")
    assert runs.find_run(registered_client, "digits", weights).info.run_id == full.info.run_id
