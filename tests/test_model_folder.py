"""The model folder: equal values give equal bytes, no file is half-written, and loading runs no other code."""

import json
import resource
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from children import in_child
from lectern.artifacts import model_folder
from lectern.errors import UserError
from lectern.tasks.digits.model.module import DigitClassifier
from small import RECIPE, facts


def classifier() -> DigitClassifier:
    torch.manual_seed(0)
    return DigitClassifier(facts(), **RECIPE)


@pytest.fixture
def folder(tmp_path) -> Path:
    model_folder.save_model(classifier(), tmp_path / "model")
    return tmp_path / "model"


def change_metadata(folder: Path, **changed) -> None:
    path = folder / "module.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))


def test_folder_contains_only_weights_and_metadata(folder):
    assert {path.name for path in folder.iterdir()} == {"weights.safetensors", "module.json"}
    metadata = json.loads((folder / "module.json").read_text())
    assert metadata.keys() == {"format", "task", "class", "hyperparameters"}
    assert (metadata["format"], metadata["task"], metadata["class"]) == (2, "digits", "DigitClassifier")


def test_the_same_values_give_the_same_bytes_in_any_folder(folder, tmp_path):
    other = tmp_path / "another" / "folder"
    model_folder.save_model(classifier(), other)
    for name in ("weights.safetensors", "module.json"):
        assert (other / name).read_bytes() == (folder / name).read_bytes()


def test_weights_keep_their_types_and_shapes(folder):
    for name, value in classifier().state_dict().items():
        loaded = load_file(folder / "weights.safetensors")[name]
        assert torch.equal(loaded, value) and loaded.dtype == value.dtype


@pytest.mark.parametrize("number", [1, 3])
def test_another_format_is_rejected(folder, number):
    change_metadata(folder, format=number)
    with pytest.raises(UserError, match=f"has format {number}, but this version of Lectern reads format 2"):
        model_folder.load_model(folder)


def test_folder_without_metadata_is_rejected_with_the_command_to_run(tmp_path):
    with pytest.raises(UserError, match="not a model folder.*dvc repro train@mnist-cnn"):
        model_folder.load_model(tmp_path / "models" / "mnist-cnn")


@pytest.mark.parametrize(
    "name", ["Path", "F", "networks", "nn", "MeanMetric", "build", "__builtins__", "", "Classifier"]
)
def test_class_that_the_task_does_not_define_is_rejected(folder, name):
    change_metadata(folder, **{"class": name})
    with pytest.raises(UserError, match=r"has no LightningModule .* Available: .*DigitClassifier"):
        model_folder.load_model(folder)


@pytest.mark.parametrize("task", ["os", "download", "..", "digits.data", ""])
def test_unknown_task_is_rejected(folder, task):
    change_metadata(folder, task=task)
    with pytest.raises(UserError, match=r"Unknown task .* Available: .*digits"):
        model_folder.load_model(folder)


def test_imported_class_is_rejected(monkeypatch):
    from lectern.tasks.digits.model import module

    monkeypatch.setattr(module, "Imported", type("Imported", (DigitClassifier,), {"__module__": "elsewhere"}), False)
    with pytest.raises(UserError, match="no LightningModule 'Imported'"):
        model_folder.find_class("digits", "Imported")


@pytest.mark.parametrize(
    "damage",
    [
        lambda weights: weights[:-100],
        lambda weights: weights[:4],
        lambda weights: b"",
        lambda weights: b"\xff" * 8 + weights[8:],
        lambda weights: weights.replace(b"network.0.weight", b"network.0.wieght"),
    ],
    ids=["truncated", "only four bytes", "empty", "wrong header", "other names"],
)
def test_damaged_weights_are_rejected(folder, damage):
    path = folder / "weights.safetensors"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UserError, match=r"weights\.safetensors does not match module\.json"):
        model_folder.load_model(folder)


def test_missing_weights_are_rejected(folder):
    (folder / "weights.safetensors").unlink()
    with pytest.raises(UserError, match=r"weights\.safetensors does not match module\.json"):
        model_folder.load_model(folder)


def test_weights_of_another_network_are_rejected(folder):
    metadata = json.loads((folder / "module.json").read_text())
    metadata["hyperparameters"]["network"]["width"] = 16
    change_metadata(folder, **metadata)
    with pytest.raises(UserError, match=r"does not match module\.json"):
        model_folder.load_model(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '{"format": 2}', '{"format": 2, "task": "digits", "class": "X"}'])
def test_damaged_metadata_is_rejected(folder, text):
    (folder / "module.json").write_text(text)
    with pytest.raises(UserError, match=r"module\.json"):
        model_folder.load_model(folder)


@pytest.mark.parametrize("limit", [0, 200, 5000])
def test_full_disk_leaves_no_half_written_file(tmp_path, limit):
    def save() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        with pytest.raises(UserError, match="could not be written to .*File too large.*Free some space"):
            model_folder.save_model(classifier(), tmp_path / "model")

    ended = in_child(save)
    assert ended.code == 0, ended.said
    assert list((tmp_path / "model").iterdir()) == []
