"""Test model folders: equal bytes for equal weights, no half-written files, and no code from outside the task."""

import json
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from children import in_child
from lectern.artifacts import model_folder
from lectern.artifacts.model_metadata import FORMAT
from lectern.errors import UserError
from lectern.tasks.digits.model import module as digits_module
from lectern.tasks.digits.model.module import DigitClassifier
from small import RECIPE, facts

FILES = ("weights.safetensors", "module.json")


def classifier() -> DigitClassifier:
    torch.manual_seed(0)
    return DigitClassifier(facts(), **RECIPE)


@pytest.fixture
def folder(tmp_path) -> Path:
    """Return a new model folder."""
    model_folder.save_model(classifier(), tmp_path / "model")
    return tmp_path / "model"


def change_metadata(folder: Path, **changes: Any) -> None:
    path = folder / "module.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_model_folder_contains_only_weights_and_metadata(folder):
    assert {path.name for path in folder.iterdir()} == set(FILES)
    metadata = json.loads((folder / "module.json").read_text())
    assert metadata.keys() == {"format", "task", "class", "hyperparameters"}
    assert (metadata["format"], metadata["task"], metadata["class"]) == (2, "digits", "DigitClassifier")


def test_equal_weights_give_equal_bytes_in_any_folder(folder, tmp_path):
    other = tmp_path / "another" / "folder"
    model_folder.save_model(classifier(), other)
    for name in FILES:
        assert (other / name).read_bytes() == (folder / name).read_bytes()


def test_weights_keep_their_types_and_shapes(folder):
    saved = load_file(folder / "weights.safetensors")
    for name, value in classifier().state_dict().items():
        assert torch.equal(saved[name], value) and saved[name].dtype == value.dtype


@pytest.mark.parametrize("number", [FORMAT - 1, FORMAT + 1])
def test_a_model_folder_of_another_format_is_rejected(folder, number):
    change_metadata(folder, format=number)
    with pytest.raises(UserError, match=f"has format {number}, but this version of Lectern reads format {FORMAT}"):
        model_folder.load_model(folder)


def test_the_error_for_a_missing_model_folder_names_the_command_that_creates_it(tmp_path):
    with pytest.raises(UserError, match="not a model folder. Run `dvc repro train@mnist-cnn`."):
        model_folder.load_model(tmp_path / "models" / "mnist-cnn")


@pytest.mark.parametrize("name", ["TrainableModule", "Any", "Tensor", "MeanMetric", "F", "networks", "nn"])
def test_names_that_the_module_of_the_task_imports_are_rejected(folder, name):
    assert hasattr(digits_module, name)
    change_metadata(folder, **{"class": name})
    with pytest.raises(UserError, match=rf"has no LightningModule '{name}'. Available: DigitClassifier"):
        model_folder.load_model(folder)


@pytest.mark.parametrize("name", ["initialize_weights", "__builtins__", "", "Classifier"])
def test_names_that_are_not_classes_are_rejected(folder, name):
    change_metadata(folder, **{"class": name})
    with pytest.raises(UserError, match=rf"has no LightningModule '{name}'. Available: DigitClassifier"):
        model_folder.load_model(folder)


@pytest.mark.parametrize("task", ["os", "training", "..", "digits.data.samples", ""])
def test_names_that_are_not_tasks_are_rejected(folder, task):
    change_metadata(folder, task=task)
    with pytest.raises(UserError, match=r"Unknown task .* Available: .*digits"):
        model_folder.load_model(folder)


def test_a_class_that_another_module_defines_is_rejected(monkeypatch):
    foreign_class = type("ForeignClassifier", (DigitClassifier,), {"__module__": "other_module"})
    monkeypatch.setattr(digits_module, "ForeignClassifier", foreign_class, raising=False)
    with pytest.raises(UserError, match="no LightningModule 'ForeignClassifier'"):
        model_folder.find_class("digits", "ForeignClassifier")


@pytest.mark.parametrize(
    "damage",
    [
        lambda weights: weights[:-100],
        lambda weights: weights[:4],
        lambda weights: b"",
        lambda weights: b"\xff" * 8 + weights[8:],
        lambda weights: weights.replace(b"network.0.weight", b"network.0.wieght"),
    ],
    ids=["truncated data", "truncated header", "empty", "wrong header length", "wrong names"],
)
def test_damaged_weights_are_rejected(folder, damage: Callable[[bytes], bytes]):
    path = folder / "weights.safetensors"
    weights = path.read_bytes()
    assert damage(weights) != weights
    path.write_bytes(damage(weights))
    with pytest.raises(UserError, match=r"weights\.safetensors does not match module\.json"):
        model_folder.load_model(folder)


def test_missing_weights_are_rejected(folder):
    (folder / "weights.safetensors").unlink()
    with pytest.raises(UserError, match=r"weights\.safetensors does not match module\.json"):
        model_folder.load_model(folder)


def test_weights_of_another_network_are_rejected(folder):
    hyperparameters = json.loads((folder / "module.json").read_text())["hyperparameters"]
    hyperparameters["network"]["width"] = 16
    change_metadata(folder, hyperparameters=hyperparameters)
    with pytest.raises(UserError, match=r"does not match module\.json"):
        model_folder.load_model(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '{"format": 2}', '{"format": 2, "task": "digits", "class": "X"}'])
def test_damaged_metadata_is_rejected(folder, text):
    (folder / "module.json").write_text(text)
    with pytest.raises(UserError, match=r"module\.json"):
        model_folder.load_model(folder)


@pytest.mark.parametrize("limit", [0, 200, 5000])
def test_a_full_disk_is_reported_and_leaves_no_partial_file(tmp_path, limit):
    """A limit on the size of files gives the same error as a full disk."""

    def save() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        with pytest.raises(UserError, match="could not be written to .*File too large.*Free some space"):
            model_folder.save_model(classifier(), tmp_path / "model")

    ended = in_child(save)
    assert ended.code == 0, ended.said
    assert list((tmp_path / "model").iterdir()) == []
