"""A model folder: the same bytes from the same values, whole or not there, and no code from outside."""

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


def describe(folder: Path, **changed) -> None:
    path = folder / "module.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))


def test_the_folder_holds_weights_and_a_description_and_nothing_else(folder):
    assert {path.name for path in folder.iterdir()} == {"weights.safetensors", "module.json"}
    described = json.loads((folder / "module.json").read_text())
    assert described.keys() == {"format", "task", "class", "hyperparameters"}
    assert (described["format"], described["task"], described["class"]) == (1, "digits", "DigitClassifier")


def test_the_same_values_give_the_same_bytes_anywhere(folder, tmp_path):
    model_folder.save_model(classifier(), tmp_path / "somewhere" / "else")
    for name in ("weights.safetensors", "module.json"):
        assert (tmp_path / "somewhere" / "else" / name).read_bytes() == (folder / name).read_bytes()


def test_weights_keep_their_types_and_shapes(folder):
    for name, value in classifier().state_dict().items():
        loaded = load_file(folder / "weights.safetensors")[name]
        assert torch.equal(loaded, value) and loaded.dtype == value.dtype


def test_an_unknown_format_is_refused(folder):
    describe(folder, format=2)
    with pytest.raises(UserError, match="is of format 2; this Lectern reads format 1"):
        model_folder.load_model(folder)


def test_a_folder_without_a_description_is_answered_with_what_to_run(tmp_path):
    with pytest.raises(UserError, match="no model folder. Train it: dvc repro train@mnist-cnn"):
        model_folder.load_model(tmp_path / "models" / "mnist-cnn")


@pytest.mark.parametrize(
    "name", ["Path", "F", "networks", "nn", "MeanMetric", "build", "__builtins__", "", "Classifier"]
)
def test_a_class_that_is_not_the_rooms_own_module_is_refused(folder, name):
    describe(folder, **{"class": name})
    with pytest.raises(UserError, match=r"has no LightningModule .* It has: .*DigitClassifier"):
        model_folder.load_model(folder)


@pytest.mark.parametrize("task", ["os", "sources", "..", "digits.samples", ""])
def test_a_task_that_is_no_room_is_refused(folder, task):
    describe(folder, task=task)
    with pytest.raises(UserError, match=r"There is no task .* The tasks are: .*digits"):
        model_folder.load_model(folder)


def test_a_class_of_the_same_name_from_elsewhere_is_refused(monkeypatch):
    from lectern.tasks.digits.model import module

    monkeypatch.setattr(module, "Elsewhere", type("Elsewhere", (DigitClassifier,), {"__module__": "elsewhere"}), False)
    with pytest.raises(UserError, match="no LightningModule 'Elsewhere'"):
        model_folder.find_class("digits", "Elsewhere")


@pytest.mark.parametrize(
    "damage",
    [
        lambda weights: weights[:-100],
        lambda weights: weights[:4],
        lambda weights: b"",
        lambda weights: b"\xff" * 8 + weights[8:],
        lambda weights: weights.replace(b"network.0.weight", b"network.0.wieght"),
    ],
    ids=["cut short", "cut very short", "empty", "a header that lies", "other names"],
)
def test_damaged_weights_are_refused(folder, damage):
    path = folder / "weights.safetensors"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UserError, match="weights.safetensors does not fit its module.json"):
        model_folder.load_model(folder)


def test_missing_weights_are_refused(folder):
    (folder / "weights.safetensors").unlink()
    with pytest.raises(UserError, match="weights.safetensors does not fit its module.json"):
        model_folder.load_model(folder)


def test_weights_of_another_network_are_refused(folder):
    described = json.loads((folder / "module.json").read_text())
    described["hyperparameters"]["network"]["width"] = 16
    describe(folder, **described)
    with pytest.raises(UserError, match="does not fit its module.json"):
        model_folder.load_model(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '{"format": 1}', '{"format": 1, "task": "digits", "class": "X"}'])
def test_a_damaged_description_is_refused(folder, text):
    (folder / "module.json").write_text(text)
    with pytest.raises(UserError, match=r"module\.json"):
        model_folder.load_model(folder)


@pytest.mark.parametrize("limit", [0, 200, 5000])
def test_a_full_disk_leaves_no_half_written_file_and_is_said(tmp_path, limit):
    def save() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        with pytest.raises(UserError, match="could not be written to .*File too large.*Free some space"):
            model_folder.save_model(classifier(), tmp_path / "model")

    ended = in_child(save)
    assert ended.code == 0, ended.said
    assert list((tmp_path / "model").iterdir()) == []
