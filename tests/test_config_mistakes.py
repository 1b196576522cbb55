"""Test that a mistake in a config is reported with the file, the key, the value found and the expected value."""

import copy
import os
from typing import Any

import pytest

from children import Ended, in_child, run_stage, warm
from lectern.artifacts.dataset import read_facts
from lectern.config import Dataset, check_section
from lectern.errors import UserError
from lectern.task_modules import task_module
from lectern.training import plan
from test_conf import CONF, DATASETS, MODELS, ORIGINS, ROOT, STAGES, TRAINERS


def compose_config() -> dict[str, Any]:
    """Return the config of a training of `digits_cnn` on the sample digits."""
    return copy.deepcopy(
        {
            "dataset": DATASETS["sample_digits"],
            "model": MODELS["digits_cnn"],
            "trainer": TRAINERS["laptop"],
            "budget": "laptop",
            "seed": 7,
            "out": None,
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
def test_an_unknown_key_is_reported_with_the_nearest_valid_key(section, wrong, right):
    config = compose_config()
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
    config = compose_config()
    inner = config
    for name in section:
        inner = inner[name]
    del inner[missing]
    with pytest.raises(UserError, match=f"missing key '{missing}'"):
        plan.read_plan(config)


def test_unknown_budget_is_reported_with_the_nearest_one():
    with pytest.raises(UserError, match=r"unknown budget 'labtop'; did you mean 'laptop'\? Available: laptop, full"):
        plan.read_plan({**compose_config(), "budget": "labtop"})


def test_unknown_class_is_reported_with_the_available_ones():
    config = compose_config()
    config["model"]["module"]["class"] = "DigitClasifier"
    with pytest.raises(UserError, match="no LightningModule 'DigitClasifier'. Available: .*DigitClassifier"):
        plan.read_plan(config)


def test_model_and_dataset_of_different_tasks_are_rejected():
    config = compose_config()
    config["dataset"]["task"] = "steering"
    with pytest.raises(UserError, match="digits_cnn is for the task digits, but dataset sample_digits is for steering"):
        plan.read_plan(config)


def call_stage(name: str, *overrides: str) -> Ended:
    """Run a stage in the checkout.

    Use this function only for overrides that are rejected before the stage writes anything.
    """
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
def test_an_unknown_or_missing_name_is_reported_with_the_available_names(stage, overrides, group):
    ended = call_stage(stage, *overrides)
    assert ended.code == 1 and "Traceback" not in ended.said
    choices = [path.stem for path in (CONF / group).glob("*.yaml")]
    assert len(choices) > 1 and all(choice in ended.said for choice in choices)


def test_a_missing_value_is_reported_by_name():
    ended = call_stage("evaluate", "dataset=sample_digits")
    assert ended.code == 1 and "Traceback" not in ended.said and "experiment" in ended.said


@pytest.mark.parametrize("stage", STAGES)
def test_help_lists_the_available_configs(stage):
    ended = call_stage(stage, "--help")
    assert ended.code == 0
    assert (ROOT / "pipelines" / f"{stage}.py").read_text().splitlines()[0].strip('"') in ended.said
    assert f"python pipelines/{stage}.py" in ended.said
    groups = {"download": [ORIGINS], "train": [DATASETS, MODELS, TRAINERS]}.get(stage, [DATASETS])
    assert all(name in ended.said for group in groups for name in group)


@pytest.mark.parametrize(
    ("stage", "override", "expected"),
    [
        ("train", "dataset=2024", "Could not find 'dataset/2024'"),
        ("train", "dataset=007", "Could not find 'dataset/007'"),
        ("preprocess", "dataset=on", "Could not find 'dataset/on'"),
        ("download", "origin=null", "Could not find 'origin/null'"),
        ("train", "model=[]", "model=[]: expected the name of one file in conf/model"),
        ("train", "seed=abc", "seed is 'abc'; expected an integer"),
        ("train", "seed=4294967296", "seed is 4294967296; expected a number less than 4294967296"),
        ("train", "budget=[]", "budget is []; expected a string"),
        ("train", "out=7", "out is 7; expected a string. YAML reads words such as no, on and 2024 as values of other"),
        ("train", "model.fit=null", "fit is None; expected a mapping"),
        ("train", "model.fit.laptop.epochs=0", "epochs is 0; expected a number greater than 0"),
        ("train", "model.fit.laptop.precision=16", "precision is 16; expected '32-true', 'bf16-mixed' or '16-mixed'"),
        ("train", "model.best.mode=maximum", "mode is 'maximum'; expected 'min' or 'max'"),
        ("train", "model.module.class=[]", "class is []; expected a string"),
        ("train", "model.module.learning_rate=abc", "learning_rate is 'abc'; expected an integer or a number"),
        ("train", "model.module.learning_rate=nan", "learning_rate is nan; expected an integer or a finite number"),
        ("train", "model.module.weight_decay=-1", "weight_decay is -1; expected a number greater than or equal to 0"),
        ("train", "+model.module.slant=2", "slant is 2; expected a number less than or equal to 1"),
        ("train", "+model.module.stroke_width=-1", "stroke_width is -1; expected a number greater than or equal to 0"),
        ("train", "+model.module.stroke=1", "unknown key 'stroke'; did you mean 'stroke_width'"),
        ("train", "model.batches.batch_size=0", "batch_size is 0; expected a number greater than 0"),
        ("train", "trainer.threads=0", "threads is 0; expected a number greater than 0"),
        ("train", "trainer.num_nodes=0", "num_nodes is 0; expected a number greater than 0"),
        ("train", "+trainer.limit_train_batches=0", "limit_train_batches is 0; expected a number greater than 0"),
        ("train", "+trainer.max_steps=5", "trainer.max_steps is not supported"),
        ("preprocess", "dataset.preprocess.validation=abc", "validation is 'abc'; expected an integer or a number"),
        ("preprocess", "dataset.preprocess.validation=0", "validation is 0; expected a number greater than 0"),
        ("preprocess", "dataset.name=other", "name is 'other'; expected 'sample_digits', the name of the file"),
    ],
)
def test_a_wrong_value_is_reported_with_the_expected_one(stage, override, expected):
    usual = {
        "download": ["origin=sample_digits"],
        "preprocess": ["dataset=sample_digits"],
        "train": ["dataset=sample_digits", "model=digits_cnn"],
    }
    group = override.split("=")[0]
    ended = call_stage(stage, *(word for word in usual[stage] if not word.startswith(f"{group}=")), override)
    assert ended.code == 1 and "Traceback" not in ended.said and expected in ended.said


@pytest.mark.parametrize(
    ("task", "section", "expected"),
    [
        ("language_model", {"split_by": "chance"}, "split_by is 'chance'; expected 'name', 'position' or 'hash'"),
        ("translation", {"vocabulary_size": "400"}, "vocabulary_size is '400'; expected an integer"),
        ("translation", {"columns": ["0", "1"]}, "columns.0 is '0'; expected an integer"),
        ("translation", {"columns": [0]}, "columns is [0]; expected"),
        ("translation", {"source": False}, "source is False; expected a string. YAML reads words such as no"),
        ("translation", {"score": "blue"}, "score is 'blue'; expected 'bleu', 'chrf' or 'exact_match'"),
        ("steering", {"height": 100_000}, "height is 100000; expected a number less than or equal to 4096"),
        ("steering", {"test": [[0.5, 20]]}, "test.0.0 is 0.5; expected an integer"),
        ("digits", {"train": ["only one name"]}, "train is ['only one name']; expected"),
    ],
)
def test_a_wrong_value_of_a_dataset_is_reported_with_the_expected_one(task, section, expected):
    dataset = next(dataset for dataset in DATASETS.values() if dataset["task"] == task)
    preprocess = task_module(task, "data.preprocess").preprocess
    with pytest.raises(UserError) as error:
        check_section(preprocess, {**dataset["preprocess"], **section}, "file", positional=2)
    assert expected in str(error.value)


def test_a_dataset_that_names_a_different_score_than_the_computed_score_is_rejected():
    dataset = {**DATASETS["multi30k_en_de"], "score": {"name": "chrf", "unit": "chrF", "higher_is_better": True}}
    with pytest.raises(UserError, match="multi30k_en_de.yaml: score.name is 'chrf', but preprocess.score is 'bleu'"):
        Dataset(**dataset)


def test_a_module_that_cannot_be_created_is_reported_before_the_training(digits):
    facts = read_facts(digits)
    for network, expected in (
        ({"class": "DigitCN"}, "conf/model/digits_cnn.yaml: module.network: unknown class 'DigitCN'"),
        ({"class": "DigitCNN", "dropout": 1}, r"module.network \(DigitCNN\): dropout is 1; expected a number less"),
    ):
        config = compose_config()
        config["model"]["module"]["network"] = network
        with pytest.raises(UserError, match=expected):
            plan.check_module(plan.read_plan(config), facts)
    config = compose_config()
    config["model"]["best"]["metric"] = "validation_acuracy"
    with pytest.raises(UserError, match=r"validation_acuracy'; did you mean 'validation_accuracy'\?"):
        plan.check_module(plan.read_plan(config), facts)
