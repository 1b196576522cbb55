"""Test that each value of a config fits the code that reads it, and that errors are reported with valid values."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
import yaml
from beartype import BeartypeConf
from beartype.door import is_bearable

from lectern.artifacts import model_folder
from lectern.config import Dataset, Model, PositiveInt, check_section
from lectern.download import fetch
from lectern.task_modules import task_module
from lectern.training import fit as training
from lectern.training import plan, trainer_config

ROOT = Path(__file__).parents[1]
CONF = ROOT / "conf"
STAGES = ("download", "preprocess", "train", "evaluate", "register")


def read_group(group: str) -> dict[str, dict]:
    """Return the configs of a Hydra group by name."""
    return {path.stem: yaml.safe_load(path.read_text()) for path in sorted((CONF / group).glob("*.yaml"))}


ORIGINS, DATASETS, MODELS, TRAINERS = (read_group(group) for group in ("origin", "dataset", "model", "trainer"))


def find_mismatches(function: Callable, section: Mapping[str, Any]) -> Iterator[str]:
    """Yield the keys that a function does not accept, and the values that do not have the annotated type."""
    parameters = inspect.signature(function, eval_str=True).parameters
    for key, value in section.items():
        if key not in parameters:
            yield f"{key} is unknown"
        elif (hint := parameters[key].annotation) is not inspect.Parameter.empty and not has_type(value, hint):
            yield f"{key} is {value!r}, not {hint}"


def has_type(value: Any, hint: Any) -> bool:
    """Return whether a value has a type.

    An int is accepted as a float, and a list as a tuple, because YAML has no tuples.
    """
    values = [value, tuple(value)] if isinstance(value, list) else [value]
    return any(is_bearable(each, hint, conf=BeartypeConf(is_pep484_tower=True)) for each in values)


def sections(model: dict) -> Iterator[tuple[Callable, dict]]:
    """Yield each section of a model config, with the function or class that the section configures."""
    task, module = model["task"], dict(model["module"])
    yield task_module(task, "model.loader").load, model["batches"]
    yield model_folder.find_class(task, module.pop("class")), module
    for value in module.values():
        if isinstance(value, dict) and "class" in value:
            network = getattr(task_module(task, "model.networks"), value["class"])
            yield network, {key: argument for key, argument in value.items() if key != "class"}
    for budget in model["fit"].values():
        yield training.fit, budget
    yield training.KeepBest, model["best"]


def test_the_config_files_are_found():
    assert {"mnist", "sample_digits"} <= set(ORIGINS) & set(DATASETS)
    assert {"digits_cnn", "digits_resnet"} <= set(MODELS)
    assert {"laptop", "gpu", "gpus", "two_processes", "cluster", "cluster_cpu"} <= set(TRAINERS)
    assert all(len(list(sections(model))) >= 5 for model in MODELS.values())


@pytest.mark.parametrize("group", [ORIGINS, DATASETS, MODELS], ids=["origin", "dataset", "model"])
def test_a_file_has_the_name_that_it_contains(group):
    assert {name: section["name"] for name, section in group.items()} == {name: name for name in group}


@pytest.mark.parametrize("path", sorted(CONF.glob("*/*.yaml")), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_config_of_a_group_has_no_interpolation(path):
    """`dvc exp run -S` would replace an interpolation by its value and remove the comments of the config."""
    assert "${" not in path.read_text() and yaml.safe_load(path.read_text())


@pytest.mark.parametrize("name", MODELS)
def test_every_value_of_a_model_has_the_type_that_its_code_expects(name):
    assert list(find_mismatches(Model, MODELS[name])) == []
    plan.check_model(Model(**MODELS[name]), name)
    mismatches = {owner.__qualname__: list(find_mismatches(owner, part)) for owner, part in sections(MODELS[name])}
    assert not any(mismatches.values()), mismatches
    assert {"laptop", "full"} <= set(MODELS[name]["fit"])
    assert MODELS[name]["best"]["metric"].startswith("validation_")


@pytest.mark.parametrize("name", DATASETS)
def test_every_value_of_a_dataset_has_the_type_that_its_code_expects(name):
    dataset = DATASETS[name]
    assert list(find_mismatches(Dataset, dataset)) == []
    assert dataset["origin"] in ORIGINS
    preprocess = task_module(dataset["task"], "data.preprocess").preprocess
    check_section(preprocess, dataset["preprocess"], name, positional=2)
    assert list(find_mismatches(preprocess, dataset["preprocess"])) == []
    assert dataset["score"].keys() == {"name", "unit", "higher_is_better"}
    assert type(dataset["score"]["higher_is_better"]) is bool


@pytest.mark.parametrize("name", ORIGINS)
def test_every_value_of_an_origin_has_the_type_that_its_code_expects(name):
    origin = ORIGINS[name]
    kind = next(kind for kind in fetch.SOURCES if kind in origin)
    section = {key: value for key, value in origin.items() if key not in ("name", "licence")}
    check_section(fetch.SOURCES[kind], section, name, positional=1)
    assert origin["licence"]
    if kind == "generated":
        make = task_module(origin["generated"]["task"], "data.samples").make
        check_section(make, origin["generated"]["arguments"], name, positional=1)
        assert list(find_mismatches(make, origin["generated"]["arguments"])) == []


@pytest.mark.parametrize("name", TRAINERS)
def test_every_value_of_a_trainer_has_the_type_that_its_code_expects(name):
    trainer = TRAINERS[name]
    trainer_config.check_trainer(trainer, name)
    threads = {"threads": trainer["threads"]}
    assert list(find_mismatches(training.set_determinism, threads)) == []
    assert list(find_mismatches(pl.Trainer, {key: value for key, value in trainer.items() if key != "threads"})) == []


def test_mismatches_are_found():
    fit = {"epochs": "ten", "precision": "32-true", "clip": 1.0}
    assert list(find_mismatches(training.fit, fit)) == [f"epochs is 'ten', not {PositiveInt}", "clip is unknown"]
    wrong = {"facts": {}, "network": [], "learning_rate": 1, "shift": "far"}
    assert len(list(find_mismatches(model_folder.find_class("digits", "DigitClassifier"), wrong))) == 2


@pytest.mark.parametrize(
    ("model", "trainer", "bfloat16", "precision"),
    [
        ("char_lstm", "laptop", False, "32-true"),
        ("char_lstm", "laptop", True, "bf16-mixed"),
        ("char_lstm", "gpu", False, "bf16-mixed"),
        ("char_lstm_small", "laptop", True, "32-true"),  # The config `char_lstm_small` itself selects float32.
    ],
)
def test_a_processor_without_bfloat16_trains_in_float32(model, trainer, bfloat16, precision, monkeypatch, capsys):
    monkeypatch.setattr(plan, "has_bfloat16", lambda: bfloat16)
    config = {"dataset": DATASETS["shakespeare"], "model": MODELS[model], "trainer": TRAINERS[trainer]}
    planned = plan.read_plan({**config, "budget": "full", "seed": 7, "out": None})
    assert planned.fit == {**MODELS[model]["fit"]["full"], "precision": precision}
    assert ("char_lstm in float32" in capsys.readouterr().err) is (planned.fit != MODELS[model]["fit"]["full"])


def test_has_bfloat16_is_true_if_an_lstm_computes_in_bfloat16():
    try:
        with torch.autocast("cpu", torch.bfloat16):
            torch.nn.LSTM(8, 8)(torch.zeros(3, 2, 8))
        computes = True
    except RuntimeError:
        computes = False
    assert plan.has_bfloat16() is computes
