"""Test that a wrong value of a config is reported with the file, the key, the value found and the expected value."""

import pytest

from lectern.artifacts.dataset import read_facts
from lectern.config import check_section
from lectern.errors import UserError
from lectern.task_modules import task_module
from lectern.training import plan
from test_conf import DATASETS, call_stage, compose_config


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
