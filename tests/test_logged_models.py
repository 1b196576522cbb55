"""Test the logged model of each version, the manifest and the tags of versions, and versions without a manifest."""

import json
import shutil
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.entities import LoggedModel

from children import KILLED, at_call, die, in_child, lectern
from lectern.artifacts.digests import file_digest
from lectern.errors import UserError
from lectern.registry.logged_model import read_model_id
from lectern.registry.reconcile import reconcile
from lectern.registry.registered_model import RegisteredModel
from lectern.registry.versions import download_files
from registered import BEST, BETTER, NAME, TRAINING_IMAGES, champion, former_tags, promote, register

MAX_TAGS, MAX_LENGTH = 8, 65


def list_logged_models(client: MlflowClient) -> list[LoggedModel]:
    experiment = client.get_experiment_by_name("lectern/digits")
    return list(client.search_logged_models([experiment.experiment_id]))


# Tags and manifest


def test_a_version_has_eight_short_tags_besides_its_decisions(registered_client):
    promote(registered_client, BETTER)
    for version in registered_client.search_model_versions(f"name = '{NAME}'"):
        tags = {name: value for name, value in version.tags.items() if not name.startswith("lectern.decision.")}
        assert len(tags) == MAX_TAGS and max(map(len, tags.values())) <= MAX_LENGTH, tags


@pytest.mark.parametrize("words", [("registry", "list"), ("registry", "show", NAME), ("experiments",)], ids=" ".join)
def test_lists_read_no_file_of_a_version(registered_client, words):
    promote(registered_client, BETTER)
    shutil.rmtree(Path(registered_client.tracking_uri.removeprefix("sqlite:///")).with_name("mlartifacts"))
    ended = lectern(*words)
    assert ended.code == 0 and "missing" not in ended.said and "better" in ended.said, ended.said


def test_the_manifest_contains_the_digests_and_the_metrics(registered_client):
    version = RegisteredModel(registered_client, NAME).get(BEST)
    manifest = json.loads(download_files(registered_client, version, "manifest.json").read_text())
    assert manifest["weights"] == version.weights == file_digest(Path("models/best/weights.safetensors"))
    assert manifest["dataset"] == NAME and len(manifest["code"]) == 64 and manifest["commit"]
    recorded = json.loads(Path("metrics/best.json").read_text())
    assert manifest["metric_values"] == recorded == version.metrics


def test_a_changed_manifest_is_refused(registered_client):
    version = RegisteredModel(registered_client, NAME).get(BEST)
    path = download_files(registered_client, version, "manifest.json")
    text = path.read_text().replace(version.code, "0" * 64)
    path.unlink()  # other tests share the file through a hard link
    path.write_text(text)
    with pytest.raises(UserError, match=r"manifest.json differ from the identity that was registered"):
        promote(registered_client, BEST)


@pytest.mark.slow
def test_reconcile_restores_a_missing_manifest(registered_client):
    version = RegisteredModel(registered_client, NAME).get(BEST)
    path = download_files(registered_client, version, "manifest.json")
    path.unlink()
    with pytest.raises(UserError, match="the files of this version are missing .* Restore the files"):
        promote(registered_client, BEST)
    assert reconcile(registered_client) == [f"best: the files of {version}"]
    assert path.is_file() and promote(registered_client, BEST)[0] == version


# Versions that were registered before versions had a manifest and a logged model


@pytest.fixture
def former_client(registered_client) -> MlflowClient:
    """Return a client of a store in which the newest version of `best` has the layout of an older release."""
    version = RegisteredModel(registered_client, NAME).get(BEST)
    files = shutil.copytree(download_files(registered_client, version), Path("former"))
    (files / "manifest.json").unlink()
    registered_client.log_artifacts(version.run_id, str(files), "pyfunc-0123456789ab")
    source = f"{registered_client.get_run(version.run_id).info.artifact_uri}/pyfunc-0123456789ab"
    tags = registered_client.get_model_version(NAME, BEST).tags | former_tags(version)
    tags.pop("lectern.identity")
    registered_client.create_model_version(NAME, source, version.run_id, tags=tags)
    registered_client.delete_model_version(NAME, BEST)
    return registered_client


def test_a_version_without_a_manifest_is_promoted_and_recognized(former_client):
    version = RegisteredModel(former_client, NAME).get("4")
    assert read_model_id(version) is None and version.metrics and version.commit and version.dataset == NAME
    assert promote(former_client, "4")[0].experiment == "best" == champion(former_client)
    (again,) = register(former_client, "best")
    assert again.number == 4


@pytest.mark.slow
def test_reconcile_restores_the_files_of_a_version_without_a_manifest(former_client):
    assert reconcile(former_client) == []
    version = RegisteredModel(former_client, NAME).get("4")
    shutil.rmtree(download_files(former_client, version))
    assert reconcile(former_client) == [f"best: the files of {version}"]
    assert lectern("verify", f"{NAME}@4").code == 0


# Logged models


def test_each_version_has_a_logged_model_with_metrics_parameters_and_dataset(registered_client):
    models = {model.name: model for model in list_logged_models(registered_client)}
    assert models.keys() == TRAINING_IMAGES.keys()
    for version in RegisteredModel(registered_client, NAME).versions:
        model, run = models[version.experiment], registered_client.get_run(version.run_id)
        assert str(model.status) == "READY" and model.source_run_id == version.run_id
        assert model.params == run.data.params and model.model_id == read_model_id(version)
        metrics = {metric.key: metric for metric in model.metrics}
        assert metrics["test/score"].value == version.score and "validation/loss" in metrics
        assert {metric.dataset_name for metric in model.metrics} == {NAME}
        assert json.loads(model.tags["mlflow.modelVersions"]) == [{"name": NAME, "version": version.number}]
        assert [output.model_id for output in run.outputs.model_outputs] == [model.model_id]
        assert len(registered_client.get_metric_history(version.run_id, "test/score")) == 1


def test_mlflow_loads_a_version_by_the_id_of_its_logged_model(registered_client):
    model_id = read_model_id(RegisteredModel(registered_client, NAME).get(BEST))
    mlflow.set_tracking_uri(registered_client.tracking_uri)
    assert mlflow.pyfunc.load_model(f"models:/{model_id}").metadata.signature


KILLS = ("log_batch", "log_outputs", "finalize_logged_model", "create_model_version", "set_logged_model_tags")


def register_until(method: str, store: str) -> None:
    """Register the experiment `best`, and kill this process when a method of the client is called."""
    client = MlflowClient(store, store)
    from lectern.tracking.restored_run import find_complete_run
    from registered import paths_of

    find_complete_run(client, paths_of("best"))
    at_call(MlflowClient, method, 1, die)
    register(client, "best")


@pytest.mark.slow
def test_a_registration_that_is_killed_and_repeated_has_one_version_and_one_logged_model(client):
    for method in KILLS:
        assert in_child(register_until, method, client.tracking_uri).code == KILLED, method
    (version,) = register(client, "best")
    (model,) = list_logged_models(client)
    assert model.model_id == read_model_id(version) and str(model.status) == "READY"
    assert json.loads(model.tags["mlflow.modelVersions"]) == [{"name": NAME, "version": 1}]
    assert register(client, "best")[0].number == 1 and "best: " not in "".join(reconcile(client))
    models = list_logged_models(client)
    assert sorted(each.name for each in models) == sorted(TRAINING_IMAGES)
    assert len(client.get_run(version.run_id).outputs.model_outputs) == 1
