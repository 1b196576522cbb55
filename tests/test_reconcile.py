"""Reconcile: a store that has never heard of them gets runs, versions and decisions back from outs and trail."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient

from lectern.artifacts import model_folder
from lectern.registry import overview, promotion, reconcile, versions
from lectern.tracking import runs, store
from registered import BEST, BETTER, NAME, TAUGHT, challenger, champion, images, paths_of


@pytest.fixture
def another_store(empty_store, tmp_path, monkeypatch) -> MlflowClient:
    """A second store, with nothing in it."""
    (tmp_path / "another").mkdir()
    shutil.copyfile(empty_store, tmp_path / "another" / "mlflow.db")
    address = f"sqlite:///{tmp_path / 'another' / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    return MlflowClient(address, address)


def test_reconcile_brings_back_runs_versions_and_the_champion(stocked, another_store):
    promotion.promote(stocked, NAME, BETTER)
    promotion.promote(stocked, NAME, BEST)
    assert versions.names(another_store) == [] and set(overview.unregistered_experiments(another_store)) == set(TAUGHT)
    done = "\n".join(reconcile.reconcile(another_store))
    assert all(f"{name}: run with its history" in done for name in TAUGHT) and "champion is version" in done
    assert champion(another_store) == "best" and challenger(another_store) == "better"
    assert overview.unregistered_experiments(another_store) == []
    for name in TAUGHT:
        run = runs.find_run(another_store, "digits", paths_of(name).weights)
        assert run.data.tags[runs.RESTORED] == "true" and run.info.status == "FINISHED"
        points = another_store.get_metric_history(run.info.run_id, "train_loss")
        assert [(point.step, point.value) for point in points] == [(1, 1.0), (2, 0.5)]
        assert run.data.metrics["test_score"] == paths_of(name).metrics["score"]
        assert run.data.params["model.module.learning_rate"] == "0.003"
    assert np.array_equal(
        versions.load_champion(NAME, another_store).predict(images()),
        model_folder.load_model(Path("models/best")).predict(images()),
    )


def test_reconcile_with_nothing_to_do_does_nothing(stocked):
    promotion.promote(stocked, NAME, None)
    before = [version.version for version in versions.versions(stocked, NAME)]
    assert reconcile.reconcile(stocked) == []
    assert [version.version for version in versions.versions(stocked, NAME)] == before
    assert len(stocked.search_runs([store.experiment_id(stocked, "digits")])) == len(TAUGHT)


def test_a_champion_whose_outs_are_lost_is_said_and_nobody_takes_its_place(stocked, another_store):
    promotion.promote(stocked, NAME, BEST)
    for path in ("models/best", "reports/best"):
        shutil.rmtree(path)
    assert "the champion is lost: no outs here are best" in "\n".join(reconcile.reconcile(another_store))
    assert champion(another_store) is None
