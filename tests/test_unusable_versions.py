"""Test that a version which Lectern cannot use is named as not servable, and that all other models still work."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient

from children import lectern
from lectern.registry.registered_model import RegisteredModel
from lectern.registry.versions import download_files
from lectern.serving.champions import Champions
from sample_champions import CHAMPIONS, DIGITS

BAD = "a_bad_model"  # sorted before all other models
Files = Callable[[Path], None]  # changes the files of a version


def set_hyperparameters(**changed: object) -> Files:
    def change(files: Path) -> None:
        (path,) = files.glob("artifacts/*/module.json")
        metadata = json.loads(path.read_text())
        metadata["hyperparameters"] |= changed
        path.write_text(json.dumps(metadata))

    return change


def set_network(name: str, **arguments: object) -> Files:
    return set_hyperparameters(network={"class": name, **arguments})


def set_metadata(**changed: object) -> Files:
    def change(files: Path) -> None:
        (path,) = files.glob("artifacts/*/module.json")
        path.write_text(json.dumps(json.loads(path.read_text()) | changed))

    return change


def damage_weights(files: Path) -> None:
    (path,) = files.glob("artifacts/*/weights.safetensors")
    path.write_bytes(path.read_bytes()[:-100])


def keep(files: Path) -> None:
    """Change no file."""


@pytest.fixture
def project(serving_project, tmp_path, monkeypatch) -> MlflowClient:
    """Make a copy of the serving project the current folder, and return a client of its store."""
    for name in ("conf", "dvc.yaml", "experiments.yaml"):
        source = serving_project / name
        (shutil.copytree if source.is_dir() else shutil.copyfile)(source, tmp_path / name)
    shutil.copyfile(serving_project / "mlflow.db", tmp_path / "mlflow.db")
    monkeypatch.chdir(tmp_path)
    address = f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    return MlflowClient(address, address)


def register_changed(client: MlflowClient, tags: dict[str, str | None], change: Files, source: str | None) -> None:
    """Register the digits champion under another name with changed tags and files.

    Each tag whose name starts with the name of a tag without a value is deleted.
    """
    original = RegisteredModel(client, DIGITS).champion
    files = shutil.copytree(download_files(client, original), Path("changed_files"))
    change(files)
    removed = tuple(key for key, value in tags.items() if value is None)
    new_tags = client.get_model_version(DIGITS, str(original.number)).tags | tags
    new_tags = {key: value for key, value in new_tags.items() if not (removed and key.startswith(removed))}
    client.create_registered_model(BAD)
    version = client.create_model_version(BAD, source or files.absolute().as_uri(), original.run_id, tags=new_tags)
    client.set_registered_model_alias(BAD, "champion", version.version)


def tag(name: str, value: str | None) -> dict[str, str | None]:
    return {f"lectern.{name}": value}


NO_TAGS: dict[str, str | None] = {"lectern.": None}
CASES: dict[str, tuple[dict[str, str | None], Files, str | None, str]] = {
    "foreign": (NO_TAGS, keep, None, "was not registered by Lectern"),
    "missing tag": (tag("weights", None), keep, None, "Missing tags: weights"),
    "text as score": (tag("score", "high"), keep, None, "lectern.score is 'high'; expected a finite number"),
    "NaN as score": (tag("score", "nan"), keep, None, "lectern.score is 'nan'; expected a finite number"),
    "infinite baseline": (tag("baseline", "-inf"), keep, None, "lectern.baseline is '-inf'"),
    "direction": (tag("higher_is_better", "yes"), keep, None, "is 'yes'; expected True or False"),
    "unknown task": (tag("task", "poetry"), keep, None, "lectern.task is 'poetry'; expected one of digits"),
    "path as experiment": (
        tag("experiment", "../../x"),
        keep,
        None,
        "is '../../x'; expected the name of an experiment",
    ),
    "unknown hyperparameter": ({}, set_hyperparameters(depth=3), None, "unexpected keyword argument 'depth'"),
    "unknown network": ({}, set_network("ResNet50"), None, "unknown class 'ResNet50'"),
    "wide network": ({}, set_network("DigitResNet", width=10**6), None, "has the shape"),
    "deep network": ({}, set_network("DigitResNet", blocks=10**3), None, "the network has more than"),
    "endless network": ({}, set_network("DigitResNet", blocks=10**12), None, "blocks is 1000000000000"),
    "text as hyperparameter": ({}, set_network("DigitResNet", width="wide"), None, "width is 'wide'"),
    "list as facts": ({}, set_hyperparameters(facts=[]), None, "does not match module.json"),
    "other class": ({}, set_metadata(**{"class": "Popen"}), None, "has no LightningModule 'Popen'"),
    "list as task": ({}, set_metadata(task=["digits"]), None, "expected a value of the type str"),
    "damaged weights": ({}, damage_weights, None, "does not match module.json"),
    "missing files": ({}, keep, "file:///nowhere/model", "the files of this version are missing"),
    "unknown scheme": ({}, keep, "carrier-pigeon://host/model", "carrier-pigeon"),
    "store without client library": ({}, keep, "s3://bucket/model", "the files of this version are missing"),
}


@pytest.mark.parametrize(("tags", "change", "source", "message"), CASES.values(), ids=CASES)
def test_an_unusable_champion_is_named_and_all_other_models_are_served(project, caplog, tags, change, source, message):
    register_changed(project, tags, change, source)
    champions = Champions(project)
    champions.refresh()
    assert set(champions.served) == set(CHAMPIONS)
    assert message in champions.problems[BAD] and message in caplog.text


CHECKS = [
    ("lineage", f"{BAD}@1"),
    ("verify", f"{BAD}@1"),
    ("predict", f"{BAD}@1", "--input", "conf", "--output", "predictions.csv"),
    ("promote", BAD),
]
LISTS = [("registry", "list"), ("registry", "show", BAD), ("retire", BAD), ("reconcile",)]


@pytest.mark.parametrize(
    ("case", "commands"), [("foreign", LISTS + CHECKS), ("deep network", CHECKS)], ids=["foreign", "deep network"]
)
def test_no_command_prints_a_traceback_for_an_unusable_version(project, case, commands):
    register_changed(project, *CASES[case][:3])
    for command in commands:
        ended = lectern(*command)
        assert "Traceback" not in ended.said and ended.code in (0, 1, 3), (command, ended.said)


@pytest.mark.slow
def test_models_beyond_the_first_page_of_the_store_are_served(project):
    for number in range(1001):
        project.create_registered_model(f"a_{number:04}")  # sorted before the models with a champion
    champions = Champions(project)
    champions.refresh()
    assert set(champions.served) == set(CHAMPIONS)


@pytest.mark.parametrize("name", ["both quotes '\" in one name", "n" * 250])
def test_a_strange_name_of_a_model_affects_no_other_model(project, name):
    project.create_registered_model(name)
    listed, shown = lectern("registry", "list"), lectern("registry", "show", name)
    assert listed.code == 0 and DIGITS in listed.said and "Traceback" not in listed.said + shown.said
