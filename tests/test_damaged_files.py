"""Test that the error about a damaged file contains the line and the remedy, and that other commands still work."""

import json
from pathlib import Path

import pytest

from children import in_child, lectern, run_stage
from lectern.artifacts.mapping_file import read_mapping
from lectern.errors import UserError
from marked_cases import mostly
from registered import BETTER, NAME, champion

DAMAGES = {
    "conflict": ("{text}\n<<<<<<< HEAD\n{text}=======\n{text}>>>>>>> branch\n", "conflict marker of git"),
    "empty": ("", "expected a mapping of keys to values, found an empty file"),
    "cut": ("a: [1,\n", "line 2"),
    "binary": ("\x00\x01", "is damaged"),
    "word": ("word\n", "expected a mapping of keys to values, found 'word'"),
    "twice": ("a: 1\nb: 2\na: 3\n", "line 3: the key 'a' occurs twice in one mapping"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_yaml_file_is_named_with_line_and_remedy(damage, tmp_path):
    content, reason = DAMAGES[damage]
    path = tmp_path / "gate.yaml"
    path.write_text(content.format(text="a: 1\n"))
    with pytest.raises(UserError, match=rf"(?s)gate.yaml.*{reason}.*git checkout HEAD -- .*gate.yaml"):
        read_mapping(path)


@pytest.mark.parametrize(
    "content",
    [
        "<<<<<<< HEAD\n{}\n=======\n{}\n>>>>>>> b\n",
        *mostly("nightly", ["", '{"score": 0.9', "[]", "\x00"], always=[]),
    ],
)
def test_damaged_metrics_stop_only_the_command_that_needs_them(content, registered_client):
    Path("metrics/best.json").write_text(content)
    listed = lectern("registry", "list")
    assert listed.code == 0 and NAME in listed.said
    shown = lectern("experiments")
    assert shown.code == 0 and "better" in shown.said
    assert "metrics/best.json" in shown.said and "Evaluate: dvc repro evaluate@best" in shown.said
    assert lectern("promote", NAME, "--version", BETTER).code == 0 and champion(registered_client) == "better"
    restored = lectern("reconcile")
    assert restored.code == 0 and "best: metrics/best.json" in restored.said
    ended = in_child(run_stage, "register", "experiment=best", f"dataset={NAME}")
    assert ended.code == 1 and "metrics/best.json" in ended.said and "Traceback" not in ended.said


@pytest.mark.parametrize("name", ["experiments.yaml", pytest.param("dvc.yaml", marks=pytest.mark.slow)])
def test_a_damaged_list_of_experiments_stops_only_the_command_that_needs_it(name, registered_client):
    Path(name).write_text("<<<<<<< HEAD\n")
    assert lectern("promote", NAME, "--version", BETTER).code == 0 and champion(registered_client) == "better"
    listed = lectern("registry", "list")
    assert listed.code == 0 and f"{name}, line 1: found a conflict marker" in listed.said
    for command in ("experiments", "reconcile"):
        ended = lectern(command)
        assert ended.code == 1 and f"{name}, line 1" in ended.said and "Traceback" not in ended.said


def test_an_experiment_with_a_missing_key_is_named(registered_client):
    Path("experiments.yaml").write_text("experiments:\n  best: {dataset: sample_digits}\n")
    ended = lectern("experiments", "--names")
    assert ended.code == 1 and "experiments.yaml: best is {'dataset': 'sample_digits'}; expected" in ended.said


@pytest.mark.slow
def test_a_damaged_dataset_config_does_not_hide_the_models(registered_client):
    Path(f"conf/dataset/{NAME}.yaml").write_text("")
    for words in (["registry", "list"], ["registry", "show", NAME], ["experiments"]):
        ended = lectern(*words)
        assert ended.code == 0 and f"conf/dataset/{NAME}.yaml is damaged" in ended.said, ended.said
    ended = lectern("promote", NAME)
    assert ended.code == 1 and f"conf/dataset/{NAME}.yaml is damaged" in ended.said and "Traceback" not in ended.said


def test_a_damaged_gate_is_named_and_nothing_is_promoted(registered_client):
    Path("conf/gate.yaml").write_text("noise: 1\n<<<<<<< HEAD\n")
    ended = lectern("promote", NAME)
    assert ended.code == 1 and "conf/gate.yaml, line 2: found a conflict marker" in ended.said
    assert champion(registered_client) is None


@pytest.mark.parametrize("path", ["conf/train.yaml", "conf/trainer/laptop.yaml", "conf/model/digits_cnn.yaml"])
def test_a_stage_names_a_damaged_config(project, path):
    Path(path).write_text("<<<<<<< HEAD\n")
    # The stage does not read the configs of other models, so an empty config of another model is not an error.
    Path("conf/model/char_gru.yaml").write_text("")
    overrides = (f"dataset={NAME}", "model=digits_cnn")
    ended = in_child(run_stage, "train", *overrides)
    assert ended.code == 1 and f"{path}, line 1: found a conflict marker" in ended.said
    assert "Traceback" not in ended.said


def test_a_damaged_lock_is_named_by_lineage_which_checks_the_other_links(registered_client):
    assert lectern("promote", NAME, "--version", BETTER).code == 0
    Path("dvc.lock").write_text("schema: '2.0'\nstages:\n  train@better: {cmd: [\n")
    ended = lectern("lineage", NAME, "--json")
    links = {link["link"]: link for link in json.loads(ended.said.splitlines()[0])}
    assert ended.code == 3 and links["run"]["intact"] and links["version"]["intact"]
    reason = links["dvc train@better"]["reason"]
    assert reason.startswith("dvc.lock, line 4") and "git checkout HEAD -- dvc.lock" in reason and "dvc repro" in reason
