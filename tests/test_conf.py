"""Config: every value has a taker, every name a file, and whoever mistypes one is told the right one."""

import copy
import inspect
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
import yaml
from beartype import BeartypeConf
from beartype.door import is_bearable

from children import Ended, in_child, run_stage, warm
from lectern.artifacts import model_folder
from lectern.config import Dataset, Model, PositiveInt, check_section
from lectern.download import fetch
from lectern.errors import UserError
from lectern.task_modules import task_module
from lectern.training import fit as training
from lectern.training import plan

ROOT = Path(__file__).parents[1]
CONF = ROOT / "conf"
STAGES = ("download", "preprocess", "train", "evaluate", "register")


def files(group: str) -> dict[str, dict]:
    return {path.stem: yaml.safe_load(path.read_text()) for path in sorted((CONF / group).glob("*.yaml"))}


ORIGINS, DATASETS, MODELS, TRAINERS = (files(group) for group in ("origin", "dataset", "model", "trainer"))


def misfits(function: Callable, section: Mapping[str, Any]) -> Iterator[str]:
    """Keys that the callable does not take, and values that are not of the type it says."""
    parameters = inspect.signature(function, eval_str=True).parameters
    for key, value in section.items():
        if key not in parameters:
            yield f"{key} has no taker"
        elif (hint := parameters[key].annotation) is not inspect.Parameter.empty and not fits(value, hint):
            yield f"{key} is {value!r}, not {hint}"


def fits(value: Any, hint: Any) -> bool:
    """An int will do for a float, and a list for a tuple, which YAML does not have."""
    values = [value, tuple(value)] if isinstance(value, list) else [value]
    return any(is_bearable(one, hint, conf=BeartypeConf(is_pep484_tower=True)) for one in values)


def sections(model: dict) -> Iterator[tuple[Callable, dict]]:
    """Each section of a model's file and what takes it; a section inside that names a class is that network's."""
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


def test_the_files_are_found():
    assert {"mnist", "sample_digits"} <= set(ORIGINS) & set(DATASETS)
    assert {"digits_cnn", "digits_resnet"} <= set(MODELS)
    assert {"laptop", "gpu", "gpus", "two_processes", "cluster", "cluster_cpu"} <= set(TRAINERS)
    assert all(len(list(sections(model))) >= 5 for model in MODELS.values())


@pytest.mark.parametrize("group", [ORIGINS, DATASETS, MODELS], ids=["origin", "dataset", "model"])
def test_a_file_is_named_as_it_names_itself(group):
    assert {name: section["name"] for name, section in group.items()} == {name: name for name in group}


@pytest.mark.parametrize("path", sorted(CONF.glob("*/*.yaml")), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_group_file_holds_plain_values(path):
    """`dvc exp run -S` on a file that interpolates would freeze the value and strip the comments."""
    assert "${" not in path.read_text() and yaml.safe_load(path.read_text())


@pytest.mark.parametrize("name", MODELS)
def test_every_value_of_a_model_fits_what_takes_it(name):
    assert list(misfits(Model, MODELS[name])) == []
    plan.check_model(Model(**MODELS[name]), name)
    found = {taker.__qualname__: list(misfits(taker, section)) for taker, section in sections(MODELS[name])}
    assert not any(found.values()), found
    assert {"laptop", "full"} <= set(MODELS[name]["fit"])
    assert MODELS[name]["best"]["metric"].startswith("validation_")


@pytest.mark.parametrize("name", DATASETS)
def test_every_value_of_a_data_set_fits_what_takes_it(name):
    dataset = DATASETS[name]
    assert list(misfits(Dataset, dataset)) == []
    assert dataset["origin"] in ORIGINS
    preprocess = task_module(dataset["task"], "data.preprocess").preprocess
    check_section(preprocess, dataset["preprocess"], name, positional=2)
    assert list(misfits(preprocess, dataset["preprocess"])) == []
    assert dataset["score"].keys() == {"name", "unit", "higher_is_better"}
    assert type(dataset["score"]["higher_is_better"]) is bool


@pytest.mark.parametrize("name", ORIGINS)
def test_every_value_of_an_origin_fits_what_takes_it(name):
    origin = ORIGINS[name]
    kind = next(kind for kind in fetch.SOURCES if kind in origin)
    section = {key: value for key, value in origin.items() if key not in ("name", "licence")}
    check_section(fetch.SOURCES[kind], section, name, positional=1)
    assert origin["licence"]
    if kind == "generated":
        make = task_module(origin["generated"]["task"], "data.samples").make
        check_section(make, origin["generated"]["arguments"], name, positional=1)
        assert list(misfits(make, origin["generated"]["arguments"])) == []


@pytest.mark.parametrize("name", TRAINERS)
def test_every_value_of_a_trainer_fits_what_takes_it(name):
    trainer = TRAINERS[name]
    plan.check_trainer(trainer, name)
    threads = {"threads": trainer["threads"]}
    assert list(misfits(training.set_determinism, threads)) == []
    assert list(misfits(pl.Trainer, {key: value for key, value in trainer.items() if key != "threads"})) == []


def test_a_misfit_would_be_seen():
    fit = {"epochs": "ten", "precision": "32-true", "clip": 1.0}
    assert list(misfits(training.fit, fit)) == [f"epochs is 'ten', not {PositiveInt}", "clip has no taker"]
    wrong = {"facts": {}, "network": [], "learning_rate": 1, "shift": "far"}
    assert len(list(misfits(model_folder.find_class("digits", "DigitClassifier"), wrong))) == 2


# Words mistyped


def composed() -> dict[str, Any]:
    return copy.deepcopy(
        {
            "dataset": DATASETS["sample_digits"],
            "model": MODELS["digits_cnn"],
            "trainer": TRAINERS["laptop"],
            "budget": "laptop",
            "seed": 7,
        }
    )


@pytest.mark.parametrize(
    ("section", "wrong", "right"),
    [
        (["dataset"], "orgin", "origin"),
        (["model"], "modul", "module"),
        (["model", "batches"], "batchsize", "batch_size"),
        (["model", "module"], "learning_rat", "learning_rate"),
        (["model", "fit", "laptop"], "epoch", "epochs"),
        (["model", "fit", "full"], "clipnorm", "clip_norm"),
        (["model", "best"], "metrik", "metric"),
        (["trainer"], "device", "devices"),
        (["trainer"], "thread", "threads"),
    ],
    ids=str,
)
def test_a_wrong_key_is_answered_with_the_nearest_right_one(section, wrong, right):
    config = composed()
    inner = config
    for name in section:
        inner = inner[name]
    inner[wrong] = inner.pop(right, 1)
    with pytest.raises(UserError) as error:
        plan.read_plan(config)
    assert f"unknown key {wrong!r}; did you mean {right!r}?" in str(error.value)
    assert f"conf/{section[0]}" in str(error.value)


@pytest.mark.parametrize(
    ("section", "missing"),
    [
        (["dataset"], "origin"),
        (["model"], "best"),
        (["model", "module"], "learning_rate"),
        (["model", "batches"], "batch_size"),
        (["model", "fit", "full"], "epochs"),
        (["model", "best"], "mode"),
        (["trainer"], "threads"),
    ],
    ids=str,
)
def test_a_missing_key_is_named(section, missing):
    config = composed()
    inner = config
    for name in section:
        inner = inner[name]
    del inner[missing]
    with pytest.raises(UserError, match=f"missing key '{missing}'"):
        plan.read_plan(config)


def test_unknown_budget_is_reported_with_the_nearest_one():
    with pytest.raises(UserError, match=r"unknown budget 'labtop'; did you mean 'laptop'\? Available: laptop, full"):
        plan.read_plan({**composed(), "budget": "labtop"})


def test_unknown_class_is_reported_with_the_available_ones():
    config = composed()
    config["model"]["module"]["class"] = "DigitClasifier"
    with pytest.raises(UserError, match="no LightningModule 'DigitClasifier'. Available: .*DigitClassifier"):
        plan.read_plan(config)


def test_model_and_dataset_of_different_tasks_are_rejected():
    config = composed()
    config["dataset"]["task"] = "steering"
    with pytest.raises(UserError, match="digits_cnn is for the task digits, but dataset sample_digits is for steering"):
        plan.read_plan(config)


@pytest.mark.parametrize(
    ("model", "trainer", "bfloat16", "precision"),
    [
        ("char_lstm", "laptop", False, "32-true"),
        ("char_lstm", "laptop", True, "bf16-mixed"),
        ("char_lstm", "gpu", False, "bf16-mixed"),
        ("char_lstm_small", "laptop", True, "32-true"),  # as its file says
    ],
)
def test_only_a_processor_without_bfloat16_trains_in_float32_instead(
    model, trainer, bfloat16, precision, monkeypatch, capsys
):
    monkeypatch.setattr(plan, "has_bfloat16", lambda: bfloat16)
    config = {"dataset": DATASETS["shakespeare"], "model": MODELS[model], "trainer": TRAINERS[trainer]}
    planned = plan.read_plan({**config, "budget": "full", "seed": 7})
    assert planned.fit == {**MODELS[model]["fit"]["full"], "precision": precision}
    assert ("char_lstm in float32" in capsys.readouterr().err) is (planned.fit != MODELS[model]["fit"]["full"])


def test_an_lstm_computes_in_bfloat16_where_the_processor_is_said_to():
    try:
        with torch.autocast("cpu", torch.bfloat16):
            torch.nn.LSTM(8, 8)(torch.zeros(3, 2, 8))
        computes = True
    except RuntimeError:
        computes = False
    assert plan.has_bfloat16() is computes


def call_stage(name: str, *overrides: str) -> Ended:
    """The stage's script in the checkout, where a mistake is found before anything is written."""
    warm()

    def in_root() -> None:
        os.chdir(ROOT)
        run_stage(name, *overrides)

    return in_child(in_root)


@pytest.mark.parametrize(
    ("stage", "overrides", "group"),
    [
        ("train", ["dataset=mnits", "model=digits_cnn"], "dataset"),
        ("train", ["dataset=mnist", "model=digits_cn"], "model"),
        ("train", ["dataset=mnist"], "model"),
        ("train", ["dataset=mnist", "model=digits_cnn", "trainer=labtop"], "trainer"),
        ("download", ["origin=mnits"], "origin"),
        ("preprocess", ["dataset=mnits"], "dataset"),
        ("evaluate", ["experiment=mnist-cnn", "dataset=mnits"], "dataset"),
        ("register", ["experiment=mnist-cnn"], "dataset"),
    ],
    ids=str,
)
def test_a_name_that_is_not_there_is_answered_with_those_that_are(stage, overrides, group):
    ended = call_stage(stage, *overrides)
    assert ended.code == 1 and "Traceback" not in ended.said
    choices = [path.stem for path in (CONF / group).glob("*.yaml")]
    assert len(choices) > 1 and all(choice in ended.said for choice in choices)


def test_a_value_that_is_missing_is_named():
    ended = call_stage("evaluate", "dataset=sample_digits")
    assert ended.code == 1 and "Traceback" not in ended.said and "experiment" in ended.said


@pytest.mark.parametrize("stage", STAGES)
def test_help_says_what_there_is_to_choose(stage):
    ended = call_stage(stage, "--help")
    assert ended.code == 0
    assert (ROOT / "pipelines" / f"{stage}.py").read_text().splitlines()[0].strip('"') in ended.said
    assert f"python pipelines/{stage}.py" in ended.said
    groups = {"download": [ORIGINS], "train": [DATASETS, MODELS, TRAINERS]}.get(stage, [DATASETS])
    assert all(name in ended.said for group in groups for name in group)


# What a checkpoint is gone on from by


@pytest.fixture
def key_of(digits, monkeypatch) -> Callable[..., str]:
    """The key of a plan on the sample, with values changed."""
    monkeypatch.setattr(plan.Plan, "processed", digits)

    def key(**changed: Any) -> str:
        return plan.read_plan({**composed(), **changed}).key

    return key


def with_value(where: list[str], value: Any) -> dict[str, Any]:
    config = composed()
    inner = config
    for name in where[:-1]:
        inner = inner[name]
    inner[where[-1]] = value
    return config


@pytest.mark.parametrize(
    "changed",
    [
        with_value(["seed"], 8),
        with_value(["model", "module", "learning_rate"], 1.0),
        with_value(["model", "module", "network", "dropout"], 0.1),
        with_value(["model", "batches", "batch_size"], 3),
        with_value(["model", "fit", "laptop", "epochs"], 3),
        with_value(["model", "best", "metric"], "validation_loss"),
    ],
    ids=["seed", "learning rate", "dropout", "batch size", "epochs", "best"],
)
def test_checkpoint_key_depends_on_the_values(key_of, changed):
    assert key_of(**changed) != key_of()


@pytest.mark.parametrize(
    "changed",
    [
        with_value(["trainer", "threads"], 1),
        with_value(["model", "fit", "full", "epochs"], 999),
        with_value(["seed"], 7),
    ],
    ids=["trainer", "another budget", "nothing"],
)
def test_checkpoint_key_is_the_same_for_the_same_values(key_of, changed):
    assert key_of(**changed) == key_of()


@pytest.mark.parametrize(
    ("file", "other_key"),
    [
        ("pipelines/train.py", True),
        ("src/lectern/tasks/digits/model/augmentation.py", True),
        ("src/lectern/tasks/digits/data/format/images.py", True),
        ("src/lectern/training/byte_dropout.py", True),
        ("src/lectern/artifacts/history_file.py", True),
        ("src/lectern/tasks/digits/report/evaluate.py", False),
        ("src/lectern/tasks/digits/serving/page.py", False),
        ("src/lectern/tasks/steering/model/networks.py", False),
        ("src/lectern/tracking/runs.py", False),
    ],
)
def test_checkpoint_key_depends_on_the_code_that_train_depends_on(file, other_key, tmp_path):
    for name in ("pipelines", "src"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "dvc.yaml", tmp_path)
    before = plan.code_digest("digits", tmp_path)
    with open(tmp_path / file, "a") as source:
        source.write("x = 1\n")
    assert (plan.code_digest("digits", tmp_path) != before) == other_key


# The stages of dvc.yaml


STORY = yaml.safe_load((ROOT / "dvc.yaml").read_text())
VARS = yaml.safe_load((ROOT / "experiments.yaml").read_text())
DEMO = yaml.safe_load((ROOT / "demo/experiments.yaml").read_text())
VARS = {name: [*value, *DEMO[name]] if isinstance(value, list) else value | DEMO[name] for name, value in VARS.items()}
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text())


def tell(stage: str) -> Iterator[dict]:
    """The stages that a `foreach` stands for, with every `${...}` filled in."""
    items = VARS[STORY["stages"][stage]["foreach"].strip("${}")]
    for key, item in items.items() if isinstance(items, dict) else zip(items, items, strict=True):
        values = {"key": key, "item": item, **PARAMS}
        values |= {f"item.{name}": value for name, value in item.items()} if isinstance(item, dict) else {}
        yield fill(STORY["stages"][stage]["do"], values)


def fill(told: Any, values: dict[str, Any]) -> Any:
    if isinstance(told, dict):
        return {fill(key, values): fill(value, values) for key, value in told.items()}
    if isinstance(told, list):
        return [fill(value, values) for value in told]
    if isinstance(told, str):
        for name, value in values.items():
            told = told.replace(f"${{{name}}}", str(value))
    return told


TOLD = {stage: list(tell(stage)) for stage in STAGES}


def outs(stage: dict) -> set[str]:
    return {
        next(iter(out)) if isinstance(out, dict) else out for part in ("outs", "metrics") for out in stage.get(part, ())
    }


def test_every_experiment_names_what_there_is():
    assert VARS["experiments"] and set(VARS["origins"]) <= set(ORIGINS)
    for name, dataset in VARS["datasets"].items():
        assert dataset == {key: DATASETS[name][key] for key in ("task", "origin")}, name
        assert dataset["origin"] in VARS["origins"], name
    for name, experiment in VARS["experiments"].items():
        assert experiment["dataset"] in VARS["datasets"], name
        tasks = {experiment["task"], MODELS[experiment["model"]]["task"], DATASETS[experiment["dataset"]]["task"]}
        assert len(tasks) == 1, name


def test_every_dependency_is_a_file_or_another_stages_out():
    made: set[str] = set()
    for stage in STAGES:
        for told in TOLD[stage]:
            lost = [dep for dep in told["deps"] if dep not in made and not (ROOT / dep).exists()]
            assert not lost, (told["cmd"], lost)
            assert "${" not in told["cmd"]
        made |= set().union(*map(outs, TOLD[stage]))


def test_every_parameter_is_in_its_file():
    for told in sum(TOLD.values(), []):
        for param in told["params"]:
            for file, keys in param.items():
                content = yaml.safe_load((ROOT / file).read_text())
                for key in keys or []:
                    inner = content
                    for part in key.split("."):
                        assert part in inner, (file, key)
                        inner = inner[part]


def test_every_section_of_a_model_that_training_takes_is_a_parameter_of_it():
    """Else a changed value would leave the old model standing."""
    for told in TOLD["train"]:
        (keys,) = told["params"][0].values()
        assert {key.split(".")[0] for key in keys} == {"batches", "module", "fit", "best"}
        assert f"fit.{PARAMS['budget']}" in keys


def test_no_two_stages_share_an_out():
    everything = [out for told in sum(TOLD.values(), []) for out in outs(told)]
    assert len(everything) == len(set(everything)) > 10


def test_every_guard_of_a_data_set_is_something_that_its_evaluations_give():
    listed = VARS["experiments"]
    measured = {path.stem: json.loads(path.read_text()) for path in (ROOT / "metrics").glob("*.json")}
    named = {name: set(DATASETS[listed[name]["dataset"]].get("guards", {})) for name in measured}
    assert any(named.values())
    for name, guards in named.items():
        assert guards - {"latency", "size"} <= set(measured[name]), name
