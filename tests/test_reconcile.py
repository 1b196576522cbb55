"""Test that `lectern reconcile` restores runs, versions and decisions that are missing in a store."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient

from lectern.artifacts.model_folder import load_model
from lectern.registry.overview import read_models, unregistered_experiments
from lectern.registry.reconcile import reconcile
from lectern.registry.registered_model import RegisteredModel, model_names
from lectern.serving.champions import load_champion
from lectern.tracking import runs, store
from registered import BEST, BETTER, NAME, TRAINING_IMAGES, challenger, champion, load_test_images, paths_of, promote


@pytest.fixture
def other_client(empty_store, tmp_path, monkeypatch) -> MlflowClient:
    """Return a client of a second, empty store."""
    (tmp_path / "other").mkdir()
    shutil.copyfile(empty_store, tmp_path / "other" / "mlflow.db")
    address = f"sqlite:///{tmp_path / 'other' / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    return MlflowClient(address, address)


def unregistered(client: MlflowClient) -> list[str]:
    return unregistered_experiments(read_models(client))


@pytest.mark.slow
def test_reconcile_restores_runs_versions_and_the_champion(registered_client, other_client):
    promote(registered_client, BETTER)
    promote(registered_client, BEST)
    assert model_names(other_client) == [] and set(unregistered(other_client)) == set(TRAINING_IMAGES)
    messages = "\n".join(reconcile(other_client))
    assert all(f"{name}: run with its history" in messages for name in TRAINING_IMAGES)
    assert "champion is version" in messages
    assert champion(other_client) == "best" and challenger(other_client) == "better"
    assert unregistered(other_client) == []
    predictions = load_champion(NAME, "digits", other_client).model.predict(load_test_images())
    assert np.array_equal(predictions, load_model(Path("models/best")).predict(load_test_images()))


@pytest.mark.slow
def test_a_restored_run_has_history_metrics_and_hyperparameters(registered_client, other_client):
    reconcile(other_client)
    for name in TRAINING_IMAGES:
        run = runs.find_run(other_client, "digits", paths_of(name).weights)
        assert run.data.tags[runs.RESTORED] == "true" and run.info.status == "FINISHED"
        points = other_client.get_metric_history(run.info.run_id, "train/loss")
        assert [(point.step, point.value) for point in points] == [(1, 1.0), (2, 0.5)]
        assert run.data.metrics["test/score"] == paths_of(name).metrics["score"]
        assert run.data.params["learning_rate"] == "0.003"


def test_reconcile_changes_nothing_in_a_complete_store(registered_client):
    promote(registered_client)
    before = RegisteredModel(registered_client, NAME).versions
    assert reconcile(registered_client) == []
    assert RegisteredModel(registered_client, NAME).versions == before
    runs_of_task = registered_client.search_runs([store.experiment_id(registered_client, "digits")])
    assert len(runs_of_task) == len(TRAINING_IMAGES)


@pytest.mark.slow
def test_a_champion_without_outputs_is_reported_and_not_replaced(registered_client, other_client):
    promote(registered_client, BEST)
    for folder in ("models/best", "reports/best"):
        shutil.rmtree(folder)
    assert "cannot restore the champion best" in "\n".join(reconcile(other_client))
    assert champion(other_client) is None


def test_a_model_without_any_outputs_is_reported(registered_client, other_client):
    promote(registered_client, BEST)
    shutil.rmtree("models")
    assert f"{NAME}: no version can be restored" in "\n".join(reconcile(other_client))
    assert model_names(other_client) == []
