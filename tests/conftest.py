"""Fixtures shared by the tests. Tests use one thread, so that parallel tests do not slow each other down."""

import os
import shutil
from pathlib import Path

import pytest
import torch

from children import in_child

ROOT = Path(__file__).parents[1]

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def raw_digits(tmp_path_factory) -> Path:
    """Return a folder with the four archives of the sample digits."""
    from lectern.tasks.digits.data import samples

    folder = tmp_path_factory.mktemp("raw") / "sample_digits"
    folder.mkdir()
    samples.MAKE(folder)
    return folder


@pytest.fixture(scope="session")
def digits(raw_digits, tmp_path_factory) -> Path:
    """Return the preprocessed sample digits."""
    from lectern.tasks.digits.data.preprocess import preprocess

    folder = tmp_path_factory.mktemp("processed") / "sample_digits"
    preprocess(raw_digits, folder, validation=240)
    return folder


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory) -> Path:
    """Return a SQLite file with MLflow's empty tables. Copying it saves the seconds that creating them takes."""
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    address = f"sqlite:///{path}"
    MlflowClient(address, address).search_experiments()
    return path


@pytest.fixture
def store(empty_store, tmp_path, monkeypatch) -> str:
    """Set MLFLOW_TRACKING_URI to an empty store of this test and return its address."""
    shutil.copyfile(empty_store, tmp_path / "mlflow.db")
    address = f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    return address


@pytest.fixture
def project(digits, store, tmp_path, monkeypatch) -> Path:
    """Change to a copy of the project without git and DVC that has the preprocessed sample digits."""
    project = tmp_path / "project"
    for name in ("conf", "pipelines"):
        shutil.copytree(ROOT / name, project / name)
    for name in ("dvc.yaml", "experiments.yaml", "params.yaml"):
        shutil.copy(ROOT / name, project)
    shutil.copytree(digits, project / "data" / "processed" / "sample_digits")
    monkeypatch.chdir(project)
    return project


@pytest.fixture(scope="session")
def written_outputs(digits, tmp_path_factory) -> Path:
    """Return a folder with the outputs of the experiments weak, better and best."""
    from registered import write_all_outputs

    folder = tmp_path_factory.mktemp("outputs")
    shutil.copytree(digits, folder / "data" / "processed" / "sample_digits")
    shutil.copytree(ROOT / "conf", folder / "conf")

    def write_in_folder() -> None:
        os.chdir(folder)
        write_all_outputs()

    ended = in_child(write_in_folder)
    assert ended.code == 0, ended.said
    return folder


@pytest.fixture
def evaluated_project(project, written_outputs, monkeypatch) -> Path:
    """Change to a project in which three experiments have outputs but no version; its reports have no plots."""
    from lectern.tasks.digits.report import evaluate
    from registered import write_experiments_file

    for name in ("models", "metrics", "reports", "cards"):
        shutil.copytree(written_outputs / name, project / name)
    write_experiments_file()
    for name in [name for name in vars(evaluate.plots) if name.startswith("draw_")]:
        monkeypatch.setattr(evaluate.plots, name, lambda *_: None)
    return project


@pytest.fixture
def client(evaluated_project, store):
    """Return a client of the project's empty store."""
    from mlflow import MlflowClient

    return MlflowClient(store, store)


@pytest.fixture(scope="session")
def store_with_versions(written_outputs, empty_store, tmp_path_factory) -> Path:
    """Return a SQLite store in which the three experiments are registered."""
    from mlflow import MlflowClient

    from registered import TRAINING_IMAGES, register

    folder = tmp_path_factory.mktemp("registered")

    def fill_store() -> None:
        os.chdir(written_outputs)
        address = f"sqlite:///{folder / 'mlflow.db'}"
        register(MlflowClient(address, address), *TRAINING_IMAGES)

    shutil.copyfile(empty_store, folder / "mlflow.db")
    ended = in_child(fill_store)
    assert ended.code == 0, ended.said
    return folder / "mlflow.db"


@pytest.fixture
def registered_client(client, store_with_versions):
    """Return a client of the project's store with the versions WEAK, BETTER and BEST.

    The store belongs to one test, but all tests share the files of the versions.
    """
    shutil.copyfile(store_with_versions, client.tracking_uri.removeprefix("sqlite:///"))
    return client


@pytest.fixture(scope="session")
def four(digits, empty_store, tmp_path_factory) -> Path:
    """A house with a small champion of each task; its store is `mlflow.db` in it."""
    from served import make_champions

    house = tmp_path_factory.mktemp("four")
    shutil.copytree(ROOT / "conf", house / "conf")
    patient = (ROOT / "conf/serve.yaml").read_text().replace("prediction_timeout_seconds: 120", "prediction_timeout_seconds: 600")
    (house / "conf/serve.yaml").write_text(patient)  # however busy the machine is that tests it
    for name in ("dvc.yaml", "experiments.yaml"):
        shutil.copy(ROOT / name, house)
    shutil.copyfile(empty_store, house / "mlflow.db")

    def fill() -> None:
        os.chdir(house)
        make_champions(digits, f"sqlite:///{house / 'mlflow.db'}")

    ended = in_child(fill)
    assert ended.code == 0, ended.said
    return house


@pytest.fixture(scope="session")
def server(four):
    """`lectern serve` over the four champions."""
    from served import serving

    with serving(four, f"sqlite:///{four / 'mlflow.db'}") as running:
        yield running


@pytest.fixture(scope="session")
def guarded(four):
    """A server that asks for a key, and gives a body two seconds."""
    from served import serving

    settings = four / "conf" / "serve.yaml"
    before = settings.read_text()
    settings.write_text(before.replace("body_timeout_seconds: 15", "body_timeout_seconds: 2"))
    try:
        with serving(four, f"sqlite:///{four / 'mlflow.db'}", LECTERN_API_KEY="a key") as running:
            yield running
    finally:
        settings.write_text(before)


@pytest.fixture
def moved(four):
    """Moves the alias of the digits as promote and rollback do; the better one is champion again afterwards."""
    from mlflow import MlflowClient

    from lectern.registry.registered_model import RegisteredModel
    from served import DIGITS

    client = MlflowClient(f"sqlite:///{four / 'mlflow.db'}")

    def move(number: str) -> None:
        model = RegisteredModel(client, DIGITS)
        model.point_champion(model.get(number))

    yield move
    move("2")


@pytest.fixture(scope="session")
def browser():
    """Debian's Chromium."""
    from browsing import running_browser

    with running_browser() as running:
        yield running


@pytest.fixture
def visit(browser):
    """Opens the page of a server on a screen."""
    from browsing import visiting

    with visiting(browser) as open_page:
        yield open_page


@pytest.fixture(scope="session")
def mnist_champion() -> Path:
    """The model folder of `mnist-cnn`, trained on the real archives."""
    folder = ROOT / "models" / "mnist-cnn"
    if not (folder / "module.json").is_file():
        pytest.skip("models/mnist-cnn is not here: dvc repro train@mnist-cnn (needs the MNIST archives)")
    return folder
