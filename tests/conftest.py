"""What every test may count on: one thread, so that tests side by side do not wait for each other; and what is dear
and shared, made once."""

import shutil
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[1]

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def raw_digits(tmp_path_factory) -> Path:
    """The sample's four archives."""
    from lectern.digits import samples

    folder = tmp_path_factory.mktemp("raw") / "sample_digits"
    folder.mkdir()
    samples.make(folder)
    return folder


@pytest.fixture(scope="session")
def digits(raw_digits, tmp_path_factory) -> Path:
    """The sample made ready: data/processed/sample_digits."""
    from lectern.digits.preprocess import preprocess

    folder = tmp_path_factory.mktemp("processed") / "sample_digits"
    preprocess(raw_digits, folder, validation=240)
    return folder


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory) -> Path:
    """MLflow's tables in a SQLite file, with nothing in them: making them takes seconds, a copy none."""
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    address = f"sqlite:///{path}"
    MlflowClient(address, address).search_experiments()
    return path


@pytest.fixture
def store(empty_store, tmp_path, monkeypatch) -> str:
    """A store of one's own, and its address in MLFLOW_TRACKING_URI."""
    shutil.copyfile(empty_store, tmp_path / "mlflow.db")
    address = f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    return address


@pytest.fixture
def house(digits, store, tmp_path, monkeypatch) -> Path:
    """A checkout of one's own without DVC, the sample made ready in it; the test stands in it, before its own store."""
    house = tmp_path / "house"
    for name in ("conf", "pipelines"):
        shutil.copytree(ROOT / name, house / name)
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(ROOT / name, house)
    shutil.copytree(digits, house / "data" / "processed" / "sample_digits")
    monkeypatch.chdir(house)
    return house
