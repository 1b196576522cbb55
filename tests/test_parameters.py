"""Test which values of a config are MLflow parameters."""

from pathlib import Path

import pytest
import yaml

from lectern.tracking.parameters import flatten, format_parameters

MODELS = sorted(Path(__file__).parents[1].glob("conf/model/*.yaml"))
OTHERS = {"seed": 7, "dataset": {"name": "mnist"}, "trainer": {"devices": 1}}


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
@pytest.mark.parametrize("budget", ["laptop", "full"])
def test_a_run_has_at_most_25_parameters_and_no_two_values_have_the_same_name(path, budget):
    model = yaml.safe_load(path.read_text())
    parameters = format_parameters({**OTHERS, "budget": budget, "model": model})
    warm_start = flatten({"init_from": model.get("init_from", {})})
    values = [*flatten(model["fit"][budget]), *flatten(model["batches"]), *flatten(model["module"]), *warm_start]
    assert len(parameters) == len(values) + len(OTHERS) + len(("budget", "model")) <= 25


def test_an_incomplete_config_of_a_restored_run_gives_the_known_parameters():
    assert format_parameters({"model": {"module": {"learning_rate": 0.1}}}) == {"learning_rate": "0.1"}
