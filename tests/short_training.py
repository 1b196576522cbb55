"""Run a short training with the real train stage, in a project with few images, and read its run from the store."""

import csv
import shutil
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from children import Ended, at_call, die, in_child, run_stage, warm
from lectern.tracking.store import experiment_id
from lectern.tracking.tracker import metric_name

SHORT_TRAINING = (  # config of a training with two epochs of four steps and a small network
    "dataset=sample_digits", "model=digits_resnet", "out=models/brief", "trainer.threads=1",
    "model.module.network={class:DigitResNet,width:8,blocks:1}", "model.batches.batch_size=64",
    "model.fit.laptop.epochs=2",
)  # fmt: skip


@pytest.fixture
def project(project, raw_digits, tmp_path) -> Path:
    """Change to a checkout whose dataset has few images."""
    from lectern.tasks.digits.data.idx_files import read_idx
    from lectern.tasks.digits.data.preprocess import TEST_FILES, TRAIN_FILES, preprocess
    from lectern.tasks.digits.data.samples import write_idx

    for name, dimensions in zip((*TRAIN_FILES, *TEST_FILES), (3, 1, 3, 1), strict=True):
        write_idx(tmp_path / name, read_idx(raw_digits / name, dimensions)[:320])
    shutil.rmtree(project / "data/processed/sample_digits")
    preprocess(tmp_path, project / "data/processed/sample_digits", validation=64)
    return project


def train(*overrides: str) -> Ended:
    warm()
    return in_child(run_stage, "train", *SHORT_TRAINING, *overrides)


def train_until(owner: object, method: str, call: int, act=die, after: bool = False, overrides=()) -> Ended:
    warm()

    def run_until() -> None:
        at_call(owner, method, call, act, after)
        run_stage("train", *SHORT_TRAINING, *overrides)

    return in_child(run_until)


@pytest.fixture
def client(store) -> MlflowClient:
    return MlflowClient(store, store)


def list_runs(client: MlflowClient) -> list[Run]:
    return list(client.search_runs([experiment_id(client, "digits")]))


def read_history(folder: Path) -> list[tuple[int, str, float]]:
    """Return the metrics in the history of a model, with their names in MLflow."""
    with open(folder / "history.csv") as file:
        return sorted((int(row["step"]), metric_name(row["name"]), float(row["value"])) for row in csv.DictReader(file))


def logged_points(client: MlflowClient, run: Run) -> list[tuple[int, str, float]]:
    names = client.get_run(run.info.run_id).data.metrics
    logged = [point for name in names for point in client.get_metric_history(run.info.run_id, name)]
    return sorted((point.step, point.key, point.value) for point in logged)
