"""Test which changes of config and code change the checkpoint key of a training."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lectern.errors import UserError
from lectern.stages.experiments import stage_code_digest
from lectern.training import plan
from test_config_mistakes import compose_config

ROOT = Path(__file__).parents[1]


@pytest.fixture
def key_of(digits, monkeypatch) -> Callable[..., str]:
    """Return a function that computes the checkpoint key of a config in which some values are changed."""
    monkeypatch.setattr(plan.Plan, "processed", digits)

    def key(**changed: Any) -> str:
        return plan.read_plan({**compose_config(), **changed}).key

    return key


def with_value(keys: list[str], value: Any) -> dict[str, Any]:
    config = compose_config()
    inner = config
    for name in keys[:-1]:
        inner = inner[name]
    inner[keys[-1]] = value
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
        with_value(["trainer", "limit_train_batches"], 1),
        with_value(["trainer", "gradient_clip_algorithm"], "value"),
    ],
    ids=["seed", "learning rate", "dropout", "batch size", "epochs", "best", "batch limit", "clipping"],
)
def test_checkpoint_key_depends_on_the_values(key_of, changed):
    assert key_of(**changed) != key_of()


@pytest.mark.parametrize(
    "changed",
    [
        with_value(["trainer", "threads"], 1),
        with_value(["trainer", "devices"], 2),
        with_value(["model", "fit", "full", "epochs"], 999),
        with_value(["seed"], 7),
    ],
    ids=["threads", "devices", "another budget", "nothing"],
)
def test_checkpoint_key_is_the_same_for_the_same_values(key_of, changed):
    assert key_of(**changed) == key_of()


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("max_epochs", r"trainer.max_epochs belongs to the model config: model.fit.<budget>.epochs"),
        ("precision", r"model.fit.<budget>.precision"),
        ("logger", "Lectern sets trainer.logger itself"),
        ("limit_train_batch", "unknown key 'limit_train_batch'; did you mean 'limit_train_batches'"),
    ],
)
def test_a_trainer_key_that_lectern_sets_is_refused(key_of, key, message):
    with pytest.raises(UserError, match=message):
        key_of(**with_value(["trainer", key], 1))


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
    before = stage_code_digest("train", "digits", tmp_path)
    with open(tmp_path / file, "a") as source:
        source.write("x = 1\n")
    assert (stage_code_digest("train", "digits", tmp_path) != before) == other_key
