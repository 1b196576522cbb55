"""Test the debug presets of the train stage: what they report, and that they change no output and no store."""

import json
from pathlib import Path

import pytest

from children import Ended, in_child, run_stage, warm
from short_training import SHORT_TRAINING, client, list_runs, project

__all__ = ["client", "project"]  # imported because they are fixtures
TRAINING = tuple(word for word in SHORT_TRAINING if not word.startswith("out="))
FOLDER = Path("runs/debug")


def debug(*overrides: str) -> Ended:
    warm("debugging.presets")
    return in_child(run_stage, "train", *TRAINING, *overrides)


def written_files() -> set[str]:
    """Return the files that a debug run has written, except those in its own folder."""
    kept = ("conf", "data", "pipelines", "runs/debug")
    files = [path for path in Path().rglob("*") if path.is_file() and not str(path).startswith(kept)]
    return {str(path) for path in files} - {"dvc.yaml", "experiments.yaml", "params.yaml"}


def test_smoke_trains_validates_and_loads_the_model_without_a_run(project, client):
    ended = debug("debug=smoke")
    assert ended.code == 0, ended.said
    assert "debug=smoke: trained 4 steps (training loss" in ended.said
    assert "No output of the pipeline has changed, and no model was registered." in ended.said
    assert written_files() == set() and list_runs(client) == []
    assert (FOLDER / "sample_digits-digits_resnet-smoke/model/weights.safetensors").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_a_smoke_run_can_have_any_number_of_steps(project, steps):
    ended = debug("debug=smoke", f"debug.steps={steps}")
    assert ended.code == 0 and f"trained {steps} steps" in ended.said, ended.said


@pytest.mark.slow
def test_a_recorded_smoke_run_is_not_the_run_of_the_training(project, client):
    """A training would continue or reuse a run with its own checkpoint key."""
    ended = debug("debug=smoke", "debug.record=true", "debug.batches.batch_size=64")
    assert ended.code == 0, ended.said
    (run,) = list_runs(client)
    assert run.data.tags["mlflow.runName"] == "debug-sample_digits-digits_resnet-smoke"
    assert "lectern.weights" not in run.data.tags and client.search_registered_models() == []
    ended = in_child(run_stage, "train", *SHORT_TRAINING)
    assert ended.code == 0, ended.said
    runs = list_runs(client)
    assert len(runs) == 2 and len({run.data.tags["lectern.training"] for run in runs}) == 2


@pytest.mark.slow
def test_overfit_reports_whether_the_network_memorizes_a_batch(project, client):
    ended = debug("debug=overfit")
    assert ended.code == 0 and "debug=overfit: the network memorized one batch (training loss" in ended.said, ended.said
    ended = debug("debug=overfit", "model.module.learning_rate=1e-9", "debug.steps=20")
    assert ended.code == 1 and "did not reach a training loss of 0.05 on one batch (training loss" in ended.said
    assert written_files() == set() and list_runs(client) == []


@pytest.mark.slow
def test_profile_writes_a_table_and_a_trace_of_the_steps(project, client):
    ended = debug("debug=profile", "debug.warm_up=1", "debug.steps=6")
    assert ended.code == 0 and "measured 6 steps after 1 steps of warm-up" in ended.said, ended.said
    folder = FOLDER / "sample_digits-digits_resnet-profile"
    assert "Self CPU" in ended.said and (folder / "table.txt").read_text() in ended.said
    names = {event.get("name", "") for event in json.loads((folder / "trace.json").read_text())["traceEvents"]}
    assert any(name.startswith("aten::") and "conv" in name for name in names)
    assert written_files() == set() and list_runs(client) == []


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["debug=smoke", "out=models/brief"], "debug=smoke writes no model folder, but out is 'models/brief'"),
        (["debug=overfit", "trainer.devices=2"], "debug=overfit runs in one process, but the trainer has 2 processes"),
        (["debug=profile", "debug.steps=0"], "conf/debug/profile.yaml: steps is 0; expected a number greater than 0"),
        (["debug=smoke", "+debug.stepz=1"], "conf/debug/smoke.yaml: unknown key 'stepz'; did you mean 'steps'?"),
    ],
)
def test_a_debug_run_that_makes_no_sense_is_refused(project, overrides, message):
    ended = debug(*overrides)
    assert ended.code == 1 and message in ended.said and "Traceback" not in ended.said, ended.said


def test_a_debug_run_in_a_stage_of_dvc_is_refused(project, monkeypatch):
    monkeypatch.setenv("DVC_STAGE", "train@demo-digits")
    ended = debug("debug=smoke")
    assert ended.code == 1 and "lectern train EXPERIMENT --debug smoke" in ended.said, ended.said
