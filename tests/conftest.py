"""What every test may count on: one thread, so that tests side by side do not wait for each other; and what is dear
and shared, made once."""

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
    """The sample's four archives."""
    from lectern.tasks.digits.data import samples

    folder = tmp_path_factory.mktemp("raw") / "sample_digits"
    folder.mkdir()
    samples.make(folder)
    return folder


@pytest.fixture(scope="session")
def digits(raw_digits, tmp_path_factory) -> Path:
    """The sample made ready: data/processed/sample_digits."""
    from lectern.tasks.digits.data.preprocess import preprocess

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
    for name in ("dvc.yaml", "experiments.yaml", "params.yaml"):
        shutil.copy(ROOT / name, house)
    shutil.copytree(digits, house / "data" / "processed" / "sample_digits")
    monkeypatch.chdir(house)
    return house


@pytest.fixture(scope="session")
def written(digits, tmp_path_factory) -> Path:
    """The outs of a weak, a better and the best experiment."""
    from registered import write_all

    folder = tmp_path_factory.mktemp("written")
    shutil.copytree(digits, folder / "data" / "processed" / "sample_digits")
    shutil.copytree(ROOT / "conf", folder / "conf")

    def in_folder() -> None:
        os.chdir(folder)
        write_all()

    ended = in_child(in_folder)
    assert ended.code == 0, ended.said
    return folder


@pytest.fixture
def shop(house, written, monkeypatch) -> Path:
    """A checkout in which three experiments have come as far as `register`; its reports have no pictures."""
    from lectern.tasks.digits.report import evaluate
    from registered import list_experiments

    for name in ("models", "metrics", "reports", "cards"):
        shutil.copytree(written / name, house / name)
    list_experiments()
    for name in ("draw_confusion", "draw_mistakes", "draw_calibration"):
        monkeypatch.setattr(evaluate.plots, name, lambda *_: None)
    return house


@pytest.fixture
def client(shop, store):
    """A client of the checkout's store."""
    from mlflow import MlflowClient

    return MlflowClient(store, store)


@pytest.fixture(scope="session")
def stock(written, empty_store, tmp_path_factory) -> Path:
    """A store in which all three are registered."""
    from mlflow import MlflowClient

    from registered import TAUGHT, register

    folder = tmp_path_factory.mktemp("stock")

    def fill() -> None:
        os.chdir(written)
        address = f"sqlite:///{folder / 'mlflow.db'}"
        register(MlflowClient(address, address), *TAUGHT)

    shutil.copyfile(empty_store, folder / "mlflow.db")
    ended = in_child(fill)
    assert ended.code == 0, ended.said
    return folder / "mlflow.db"


@pytest.fixture
def stocked(client, stock):
    """The test's own store, with the three versions in it: WEAK, BETTER, BEST. Their files are everybody's."""
    shutil.copyfile(stock, client.tracking_uri.removeprefix("sqlite:///"))
    return client


@pytest.fixture(scope="session")
def four(digits, empty_store, tmp_path_factory) -> Path:
    """A house with a small champion of each task; its store is `mlflow.db` in it."""
    from served import make_champions

    house = tmp_path_factory.mktemp("four")
    shutil.copytree(ROOT / "conf", house / "conf")
    patient = (ROOT / "conf/serve.yaml").read_text().replace("answer_seconds: 120", "answer_seconds: 600")
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
    settings.write_text(before.replace("body_seconds: 15", "body_seconds: 2"))
    try:
        with serving(four, f"sqlite:///{four / 'mlflow.db'}", LECTERN_API_KEY="a key") as running:
            yield running
    finally:
        settings.write_text(before)


@pytest.fixture
def moved(four):
    """Moves the alias of the digits as promote and rollback do; the better one is champion again afterwards."""
    from mlflow import MlflowClient

    from lectern.registry import versions
    from served import DIGITS

    client = MlflowClient(f"sqlite:///{four / 'mlflow.db'}")

    def move(number: str) -> None:
        versions.point_champion(client, DIGITS, versions.get_version(client, DIGITS, number))

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
