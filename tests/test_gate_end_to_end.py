"""Test the promotion gate on three real trainings."""

import json
import re
from pathlib import Path

import pytest

from children import in_child, lectern, run_stage, warm
from registered import NAME, promote, skip_plots

OVERRIDES = {
    "first": ["model.fit.laptop.epochs=2"],
    "untrained": ["model.fit.laptop.epochs=1", "model.module.learning_rate=1e-12"],
    "better": ["model.fit.laptop.epochs=12"],
}


def run_stages(experiment: str) -> str:
    """Run the stages train, evaluate and register as `dvc repro` does. Return the output of the register stage."""
    training = ["model=digits_cnn", f"out=models/{experiment}", "trainer.threads=1", *OVERRIDES[experiment]]
    name = [f"experiment={experiment}"]
    for stage, overrides in {"train": training, "evaluate": name, "register": name}.items():
        ended = in_child(run_stage_without_plots, stage, f"dataset={NAME}", *overrides)
        assert ended.code == 0, ended.said
    return ended.said


def run_stage_without_plots(*words: str) -> None:
    skip_plots()
    run_stage(*words)


@pytest.mark.slow
def test_the_gate_refuses_an_untrained_model_and_passes_a_better_one(project, store):
    warm()
    outputs = {experiment: run_stages(experiment) for experiment in OVERRIDES}
    scores = {name: json.loads(Path(f"metrics/{name}.json").read_text())["score"] for name in OVERRIDES}
    assert scores["untrained"] < 0.3 < scores["first"] < scores["better"]
    assert f"Registered better as {NAME} version 3: it would pass the gate." in outputs["better"]
    assert lectern("promote", NAME, "--version", "1").code == 0

    refused = lectern("promote", NAME, "--version", "2")
    assert refused.code == 3 and f"score {scores['untrained']:.4f}, champion {scores['first']:.4f}" in refused.said
    assert re.search(r"FAIL  better than the champion.*; lower by 0\.\d+ to 0\.\d+ .* 30 units of test", refused.said)

    passed = lectern("promote", NAME)
    assert passed.code == 0 and "version 3 (better) is the champion" in passed.said and "FAIL" not in passed.said
    assert "version 1 (first) is the champion again" in lectern("rollback", NAME).said
    assert lectern("promote", NAME, "--version", "2", "--force", "for the test").code == 0
    assert "version 3 (better) is the champion again" in lectern("rollback", NAME, "--version", "3").said

    history = json.loads(lectern("registry", "history", NAME, "--json").said.splitlines()[0])
    decisions = [f"{entry['action']} {entry['to']['experiment']}" for entry in history]
    assert decisions == ["promote first", "promote better", "rollback first", "promote untrained", "rollback better"]
    assert history[3]["forced"] == "for the test"
    assert "forced: for the test" in lectern("registry", "history", NAME).said
    gate_passed = [all(rule["passed"] for rule in entry.get("rules", [])) for entry in history]
    assert gate_passed == [True, True, True, False, True]


@pytest.mark.slow
def test_register_prints_one_line_with_the_version_and_the_preview_of_the_gate(client):
    first = in_child(run_stage_without_plots, "register", f"dataset={NAME}", "experiment=better")
    assert first.code == 0, first.said
    assert first.said == f"Registered better as {NAME} version 1: it would pass the gate.\n"
    promote(client)
    again = in_child(run_stage_without_plots, "register", f"dataset={NAME}", "experiment=better")
    assert again.said == f"Registered better as {NAME} version 1: it is the champion.\n"
    worse = in_child(run_stage_without_plots, "register", f"dataset={NAME}", "experiment=weak")
    assert worse.said.startswith(f"Registered weak as {NAME} version 2: it would fail the gate (better than the champ")
    assert worse.said.count("\n") == 1
