"""Fixtures shared by the tests. Tests use one thread, so that parallel tests do not slow each other down."""

import os
import re

# PyTorch reads this variable when it is imported, including imports in child processes of the tests.
os.environ.setdefault("OMP_NUM_THREADS", "1")
import shutil
import signal
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path

import pytest
import torch

import lectern  # noqa: F401 (sets the log level of MLflow, which must not be imported earlier)
from children import in_child

# Imported here, because jaxtyping's hook also compiles libraries that a module of the package imports first.
for library in ("mlflow", "pytorch_lightning", "torchmetrics", "scipy.stats", "matplotlib.pyplot"):
    import_module(library)

ROOT = Path(__file__).parents[1]

torch.set_num_threads(1)
# A shell starts background jobs with SIGINT ignored, and nohup ignores SIGHUP. Some tests send these signals.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(scope="session")
def raw_digits(tmp_path_factory) -> Path:
    """Return a folder with the four raw archives of the sample digits."""
    from lectern.tasks.digits.data import samples

    folder = tmp_path_factory.mktemp("raw") / "sample_digits"
    folder.mkdir()
    samples.make(folder)
    return folder


@pytest.fixture(scope="session")
def digits(raw_digits, tmp_path_factory) -> Path:
    """Return the folder of the preprocessed sample digits."""
    from lectern.tasks.digits.data.preprocess import preprocess

    folder = tmp_path_factory.mktemp("processed") / "sample_digits"
    preprocess(raw_digits, folder, validation=240)
    return folder


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory) -> Path:
    """Return a SQLite file with MLflow's empty tables.

    Copying this file saves the seconds that the creation of the tables takes.
    """
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    address = f"sqlite:///{path}"
    MlflowClient(address, address).search_experiments()
    return path


@pytest.fixture
def store(empty_store, tmp_path, monkeypatch) -> str:
    """Set MLFLOW_TRACKING_URI to an empty store for one test and return its address."""
    shutil.copyfile(empty_store, tmp_path / "mlflow.db")
    address = f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    return address


@pytest.fixture
def project(digits, store, tmp_path, monkeypatch) -> Path:
    """Change to a copy of the project that contains the preprocessed sample digits but no git or DVC repository."""
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
    """Return a folder with the stage outputs of the experiments weak, better and best."""
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
    """Change to a project in which three experiments have stage outputs but no registered version.

    The reports of these experiments have no plots.
    """
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
    """Return an MLflow client for the project's empty store."""
    from mlflow import MlflowClient

    return MlflowClient(store, store)


@pytest.fixture(scope="session")
def store_with_versions(written_outputs, empty_store, tmp_path_factory) -> Path:
    """Return a SQLite store in which the experiments weak, better and best are registered."""
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
    """Return an MLflow client for a store with the versions WEAK, BETTER and BEST.

    Each test has its own copy of the store. All tests share the files of the versions.
    """
    from lectern.tracking.moved_store import correct_addresses

    database = Path(client.tracking_uri.removeprefix("sqlite:///"))
    shutil.copyfile(store_with_versions, database)
    shutil.copytree(
        store_with_versions.with_name("mlartifacts"), database.with_name("mlartifacts"), copy_function=os.link
    )
    correct_addresses(database)
    return client


@pytest.fixture(scope="session")
def serving_project(digits, empty_store, tmp_path_factory) -> Path:
    """Return a project with a small champion for each task. Its store is the file `mlflow.db`."""
    from sample_champions import register_champions

    project = tmp_path_factory.mktemp("serving")
    shutil.copytree(ROOT / "conf", project / "conf")
    settings = project / "conf/serve.yaml"
    # A prediction on a busy machine can take longer than the default timeout.
    settings.write_text(
        settings.read_text().replace("prediction_timeout_seconds: 120", "prediction_timeout_seconds: 600")
    )
    for name in ("dvc.yaml", "experiments.yaml"):
        shutil.copy(ROOT / name, project)
    shutil.copyfile(empty_store, project / "mlflow.db")

    def fill_store() -> None:
        os.chdir(project)
        register_champions(digits, f"sqlite:///{project / 'mlflow.db'}")

    ended = in_child(fill_store)
    assert ended.code == 0, ended.said
    return project


@pytest.fixture(scope="session")
def server(serving_project):
    """Run `lectern serve` with the champions of the serving project, and yield the server."""
    from lectern_server import run_server

    with run_server(serving_project, f"sqlite:///{serving_project / 'mlflow.db'}") as running:
        yield running


@pytest.fixture(scope="session")
def server_with_key(serving_project):
    """Yield a server that needs an API key.

    The upload of a request header or of a request body may take two seconds. A model computes one request at a time.
    """
    from lectern_server import run_server

    settings = serving_project / "conf" / "serve.yaml"
    text = settings.read_text()
    changed = re.sub("(header|body)_timeout_seconds: 15", r"\1_timeout_seconds: 2", text)
    settings.write_text(changed.replace("max_requests_per_model: 256", "max_requests_per_model: 1"))
    with ExitStack() as stack:
        try:
            address = f"sqlite:///{serving_project / 'mlflow.db'}"
            running = stack.enter_context(run_server(serving_project, address, LECTERN_API_KEY="a key"))
        finally:
            settings.write_text(text)  # Other tests read the file.
        yield running


@pytest.fixture
def move_champion(serving_project):
    """Return a function that makes a version of the digits model the champion.

    After the test, version 2 is the champion again.
    """
    from mlflow import MlflowClient

    from lectern.registry.registered_model import RegisteredModel
    from sample_champions import DIGITS

    client = MlflowClient(f"sqlite:///{serving_project / 'mlflow.db'}")

    def move(number: str) -> None:
        model = RegisteredModel(client, DIGITS)
        model.point_champion(model.get(number))

    yield move
    move("2")


@pytest.fixture(scope="session")
def browser():
    """Run Chromium and yield the browser."""
    from browsing import run_browser

    with run_browser() as running:
        yield running


@pytest.fixture
def open_page(browser):
    """Return a function that opens a page in the browser."""
    from browsing import page_opener

    with page_opener(browser) as open_in_browser:
        yield open_in_browser


@pytest.fixture(scope="session")
def mnist_champion() -> Path:
    """Return the model folder of `mnist-cnn`, which was trained on MNIST.

    Skip the test if the model folder does not exist.
    """
    folder = ROOT / "models" / "mnist-cnn"
    if not (folder / "module.json").is_file():
        pytest.skip("models/mnist-cnn does not exist; run `dvc repro train@mnist-cnn` (needs the MNIST archives)")
    return folder
