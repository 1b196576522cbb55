"""Test that the stages of dvc.yaml are consistent: experiments, dependencies, parameters and outputs."""

import json
from collections.abc import Iterator
from typing import Any

import yaml

from test_conf import DATASETS, MODELS, ORIGINS, ROOT

PIPELINE = yaml.safe_load((ROOT / "dvc.yaml").read_text())
VARS = yaml.safe_load((ROOT / "experiments.yaml").read_text())
DEMO = yaml.safe_load((ROOT / "demo/experiments.yaml").read_text())
VARS = {name: [*value, *DEMO[name]] if isinstance(value, list) else value | DEMO[name] for name, value in VARS.items()}
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text())


def expand(stage: str) -> Iterator[dict]:
    """Yield each stage of a `foreach` in dvc.yaml, with every `${...}` replaced by its value."""
    items = VARS[PIPELINE["stages"][stage]["foreach"].strip("${}")]
    for key, item in items.items() if isinstance(items, dict) else zip(items, items, strict=True):
        values = {"key": key, "item": item, **PARAMS}
        values |= {f"item.{name}": value for name, value in item.items()} if isinstance(item, dict) else {}
        yield interpolate(PIPELINE["stages"][stage]["do"], values)


def interpolate(content: Any, values: dict[str, Any]) -> Any:
    """Replace every `${name}` in nested lists, mappings and strings."""
    if isinstance(content, dict):
        return {interpolate(key, values): interpolate(value, values) for key, value in content.items()}
    if isinstance(content, list):
        return [interpolate(value, values) for value in content]
    if isinstance(content, str):
        for name, value in values.items():
            content = content.replace(f"${{{name}}}", str(value))
    return content


EXPANDED = {stage: list(expand(stage)) for stage in PIPELINE["stages"]}
ALL_STAGES = sum(EXPANDED.values(), [])


def output_paths(stage: dict) -> set[str]:
    return {
        next(iter(out)) if isinstance(out, dict) else out for part in ("outs", "metrics") for out in stage.get(part, ())
    }


def test_every_experiment_names_a_dataset_and_a_model_of_its_task():
    assert VARS["experiments"] and set(VARS["origins"]) <= set(ORIGINS)
    for name, dataset in VARS["datasets"].items():
        assert dataset == {key: DATASETS[name][key] for key in ("task", "origin")}, name
        assert dataset["origin"] in VARS["origins"], name
    for name, experiment in VARS["experiments"].items():
        assert experiment["dataset"] in VARS["datasets"], name
        tasks = {experiment["task"], MODELS[experiment["model"]]["task"], DATASETS[experiment["dataset"]]["task"]}
        assert len(tasks) == 1, name


def test_every_dependency_is_a_file_or_the_output_of_an_earlier_stage():
    outputs: set[str] = set()
    for name in EXPANDED:
        for stage in EXPANDED[name]:
            missing = [path for path in stage["deps"] if path not in outputs and not (ROOT / path).exists()]
            assert not missing, (stage["cmd"], missing)
            assert "${" not in stage["cmd"]
        outputs |= set().union(*map(output_paths, EXPANDED[name]))


def test_every_parameter_exists_in_its_file():
    for stage in ALL_STAGES:
        for param in stage["params"]:
            for file, keys in param.items():
                content = yaml.safe_load((ROOT / file).read_text())
                for key in keys or []:
                    inner = content
                    for part in key.split("."):
                        assert part in inner, (file, key)
                        inner = inner[part]


def test_every_section_of_a_model_that_training_reads_is_a_parameter():
    """If a section were not a parameter, DVC would keep the old model after a change of a value in this section."""
    for stage in EXPANDED["train"]:
        (keys,) = stage["params"][0].values()
        assert {key.split(".")[0] for key in keys} == {"batches", "module", "fit", "best"}
        assert f"fit.{PARAMS['budget']}" in keys


def test_fine_tune_is_like_train_but_depends_on_the_model_with_the_first_weights():
    """The checkpoint key of a fine-tuning hashes the code that the stage `train` depends on."""
    train, fine_tune = (PIPELINE["stages"][name]["do"] for name in ("train", "fine_tune"))
    (params,) = train["params"][0].values()
    expected = {
        **train,
        "deps": [*train["deps"], "models/${item.init_from}"],
        "params": [{"conf/model/${item.model}.yaml": [*params, "init_from"]}],
    }
    assert fine_tune == expected


def test_pre_train_is_like_train():
    assert PIPELINE["stages"]["pre_train"]["do"] == PIPELINE["stages"]["train"]["do"]


def test_every_experiment_is_trained_by_one_stage_and_evaluated():
    assert VARS["evaluated"] == VARS["experiments"] | VARS["fine_tuned"]
    foreach = {name: stage["foreach"] for name, stage in PIPELINE["stages"].items()}
    assert foreach["train"] == "${experiments}" and foreach["fine_tune"] == "${fine_tuned}"
    assert foreach["pre_train"] == "${pre_trained}" and VARS["pre_trained"].keys().isdisjoint(VARS["evaluated"])
    assert foreach["evaluate"] == foreach["register"] == "${evaluated}"


def test_no_two_stages_write_the_same_output():
    outputs = [path for stage in ALL_STAGES for path in output_paths(stage)]
    assert len(outputs) == len(set(outputs)) > 10


def test_every_guard_of_a_dataset_is_a_metric_of_its_evaluations():
    experiments = VARS["experiments"]
    metrics = {path.stem: json.loads(path.read_text()) for path in (ROOT / "metrics").glob("*.json")}
    guards = {name: set(DATASETS[experiments[name]["dataset"]].get("guards", {})) for name in metrics}
    assert any(guards.values())
    for name, names in guards.items():
        assert names - {"latency", "size"} <= set(metrics[name]), name
