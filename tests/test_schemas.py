"""Test the JSON Schemas from which editors check the config files."""

import json
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft7Validator

from lectern.schemas.groups import GROUPS, build_schema

CONF = Path(__file__).parents[1] / "conf"
FILES = sorted(path for group in GROUPS for path in (CONF / group).glob("*.yaml"))
MISTAKES = {
    "origin/mnist": lambda origin: origin.update(license="CC BY"),
    "dataset/mnist": lambda dataset: dataset["preprocess"].update(validaton=10),
    "dataset/udacity_sim": lambda dataset: dataset["preprocess"].update(stratified=True),  # a key of another task
    "model/digits_cnn": lambda model: model["module"].update(learning_rate="high"),
    "model/char_gru": lambda model: model["module"].update({"class": "DigitClassifier"}),
    "model/pilotnet": lambda model: model["fit"]["laptop"].update(epochs=0),
    "trainer/laptop": lambda trainer: trainer.update(max_epochs=3),
    "cluster/local": lambda site: site.update(poll=0),
    "debug/smoke": lambda preset: preset.update(step=3),
    "sweep/digits_cnn": lambda space: space["module.learning_rate"].pop("high"),
}


def read_schema(group: str) -> dict:
    return json.loads((CONF / "schema" / f"{group}.json").read_text())


@pytest.mark.parametrize("group", GROUPS)
def test_the_committed_schema_is_current(group):
    assert read_schema(group) == build_schema(group), "run `lectern schemas`"
    Draft7Validator.check_schema(read_schema(group))


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_config_file_fits_the_schema_that_it_names(path):
    modeline = f"# yaml-language-server: $schema=../schema/{path.parent.name}.json"
    assert modeline in path.read_text().splitlines()
    assert list(Draft7Validator(read_schema(path.parent.name)).iter_errors(yaml.safe_load(path.read_text()))) == []


@pytest.mark.parametrize("name", MISTAKES)
def test_an_editor_finds_a_mistake(name):
    content = yaml.safe_load((CONF / f"{name}.yaml").read_text())
    MISTAKES[name](content)
    assert list(Draft7Validator(read_schema(name.partition("/")[0])).iter_errors(content))
