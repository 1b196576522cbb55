"""Test sweeps: reading the search space, running and resuming trials, pruning, and writing the best values."""

import shutil
import subprocess
import sys
from pathlib import Path

import optuna
import pytest
import yaml
from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities import Metric
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID
from optuna.trial import TrialState

from children import in_child
from lectern import cli
from lectern.errors import UserError
from lectern.sweeps import search
from lectern.sweeps.apply_best import write_values
from lectern.sweeps.mlflow_record import SweepRun
from lectern.sweeps.search import Search
from lectern.sweeps.search_space import Choices, Range, read_search_space
from lectern.sweeps.trials import RunningTrial
from lectern.tracking.runs import TRAINING
from lectern.tracking.store import experiment_id

ROOT = Path(__file__).parents[1]
OVERRIDES = ["dataset=sample_digits", "model=digits_cnn", "seed=7", "budget=laptop"]
TRAIN_SCRIPT = """
import os, sys
from pathlib import Path
overrides = dict(word.split("=", 1) for word in sys.argv[1:])
rate = float(overrides["model.module.learning_rate"])
if os.environ.get("FAIL_TRAININGS"):
    sys.exit("lectern: no such dataset")
out = Path(overrides["out"])
out.mkdir()
lines = [f"{step},0,validation_accuracy,{value}" for step, value in ((1, 0.5), (2, 1 - abs(rate - 0.002)), (3, 0.6))]
(out / "history.csv").write_text("\\n".join(["step,epoch,name,value", *lines]))
"""


@pytest.fixture
def fast_training(project, monkeypatch) -> Path:
    """Add the experiment demo-digits and replace the train script.

    The training ends at once, and its accuracy is best for a learning rate of 0.002.
    """
    (project / "pipelines" / "train.py").write_text(TRAIN_SCRIPT)
    variables = yaml.safe_load((project / "experiments.yaml").read_text())
    variables["experiments"]["demo-digits"] = {"dataset": "sample_digits", "task": "digits", "model": "digits_cnn"}
    (project / "experiments.yaml").write_text(yaml.safe_dump(variables))
    monkeypatch.setattr(search, "POLL_SECONDS", 0.02)
    return project


def run_search(trials: int) -> tuple[optuna.Study, list[str]]:
    """Return the Optuna study and the lines that are reported to the user."""
    lines: list[str] = []
    study = Search("demo-digits", OVERRIDES).run(trials, parallel=2, seconds=None, report=lines.append)
    return study, lines


# The search space


@pytest.mark.parametrize("path", sorted((ROOT / "conf/sweep").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_search_space_contains_the_values_of_its_model(path, monkeypatch):
    monkeypatch.chdir(ROOT)
    model = yaml.safe_load((ROOT / "conf/model" / path.name).read_text())
    for key, values in read_search_space(path.stem).items():
        value = model
        for part in key.split("."):
            value = value[part]
        if isinstance(values, Choices):
            assert value in values.choices, key
        else:
            assert values.low <= value <= values.high, key


def test_a_missing_search_space_is_reported_with_an_example(project):
    with pytest.raises(UserError, match=r"conf/sweep/digits_resnet.yaml does not exist.*module.learning_rate: \{low"):
        read_search_space("digits_resnet")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("module.learning_rat: {low: 1, high: 2}", "has no key 'module.learning_rat'"),
        ("module.learning_rate: {lowest: 1, high: 2}", "'lowest'; did you mean 'low'"),
        ("module.learning_rate: {low: 1}", "'high'"),
        ("module.learning_rate: {choices: [1, 2], low: 1}", "'low'"),
    ],
)
def test_an_invalid_line_of_a_search_space_is_reported(project, line, message):
    Path("conf/sweep/digits_cnn.yaml").write_text(line)
    with pytest.raises(UserError, match=rf"conf/sweep/digits_cnn\.yaml.*{message}"):
        read_search_space("digits_cnn")


def test_suggested_values_are_in_their_range_and_have_at_most_three_digits():
    study = optuna.create_study()
    for _ in range(20):
        trial = study.ask()
        rate = Range(0.001, 0.1, log=True).suggest(trial, "rate")
        assert 0.001 <= rate <= 0.1 and len(f"{rate:g}".lstrip("0.")) <= 3
        assert Range(1, 5).suggest(trial, "layers") in range(1, 6)
        assert Choices(["rnn", "gru"]).suggest(trial, "cell") in ("rnn", "gru")


def test_writing_the_best_values_changes_nothing_else_in_the_config(project):
    path = Path("conf/model/digits_cnn.yaml")
    original = path.read_text()
    write_values("digits_cnn", {"module.learning_rate": 0.007, "module.network.dropout": 0.4})
    changed = original.replace("learning_rate: 0.006", "learning_rate: 0.007").replace("dropout: 0.5", "dropout: 0.4")
    assert path.read_text() == changed != original


# Trials


def test_the_first_trial_has_the_values_of_the_config_and_each_result_is_the_best_validation(fast_training, store):
    study, lines = run_search(4)
    assert study.trials[0].user_attrs["values"] == {"module.learning_rate": 0.006, "module.network.dropout": 0.5}
    assert study.trials[0].value == pytest.approx(1 - 0.004)
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 4 and len(lines) == 4
    client = MlflowClient(store, store)
    (parent,) = client.search_runs([experiment_id(client, "digits")])
    assert parent.info.status == "FINISHED" and parent.info.run_name == "sweep demo-digits"
    assert parent.data.metrics["best_validation_accuracy"] == study.best_value


def test_a_later_search_continues_with_the_trials_of_an_earlier_one(fast_training):
    first = [trial.params for trial in run_search(2)[0].trials]
    second = run_search(5)[0]
    assert len(first) == 2 and len(second.trials) == 5
    assert [trial.params for trial in second.trials[:2]] == first
    assert len({str(trial.params) for trial in second.trials}) == 5  # No combination of values is tried twice.


def test_a_trial_of_a_killed_search_is_started_again(fast_training):
    killed = Search("demo-digits", OVERRIDES)
    killed.start_next(killed.open_study()).process.wait()  # The result of the killed trial is never reported.
    study = run_search(2)[0]
    assert [trial.state for trial in study.trials[:2]] == [TrialState.FAIL, TrialState.COMPLETE]
    assert study.trials[0].params == study.trials[1].params


def test_a_search_stops_if_the_first_trials_fail_and_shows_the_last_log_line(fast_training, monkeypatch):
    monkeypatch.setenv("FAIL_TRAININGS", "1")
    with pytest.raises(UserError, match=r"The first 3 trials failed\. .*: lectern: no such dataset See "):
        run_search(10)


def test_a_second_search_of_the_same_experiment_is_rejected(fast_training):
    first = Search("demo-digits", OVERRIDES)
    first.folder.mkdir(parents=True)
    with (
        FileLock(first.folder.with_suffix(".lock")),
        pytest.raises(UserError, match="Another process already searches"),
    ):
        run_search(1)


def test_a_pruned_training_is_stopped_and_its_run_is_a_child_of_the_sweep(project, store):
    plan, client = Search("demo-digits", OVERRIDES).plan, MlflowClient(store, store)
    experiment = experiment_id(client, "digits")
    child = client.create_run(experiment, tags={TRAINING: plan.key}).info.run_id
    client.log_batch(child, metrics=[Metric("validation_accuracy", 0.1, 0, 10)])
    study = optuna.create_study(direction="maximize", pruner=optuna.pruners.ThresholdPruner(lower=0.5))
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)"], start_new_session=True)
    trial = RunningTrial(study.ask(), plan, {}, Path("out"), process)
    trial.update(SweepRun(client, experiment, "the run of the sweep"))
    assert process.wait(20) == -15 and trial.pruned and trial.best_validation() is None
    assert client.get_run(child).data.tags[MLFLOW_PARENT_RUN_ID] == "the run of the sweep"


# The command


def run_command(*arguments: str):
    sys.argv = ["lectern", "sweep", *arguments]
    return in_child(cli.main)


def test_the_command_writes_the_best_values_and_names_the_experiments_to_train_again(fast_training):
    result = run_command("demo-digits", "--trials", "4", "--parallel", "4")
    assert result.code == 0, result.said
    assert "git diff conf/model/digits_cnn.yaml" in result.said
    assert "must be trained again: demo-digits, mnist-cnn" in result.said
    assert "learning_rate: 0.006 " not in Path("conf/model/digits_cnn.yaml").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["demo-digit"], "did you mean 'demo-digits'?"),
        (["demo-digits", "--time", "two hours"], "such as 90m or 2h"),
        (["mnist-resnet"], "conf/sweep/digits_resnet.yaml does not exist"),
    ],
    ids=str,
)
def test_a_wrong_argument_is_reported_without_a_traceback(fast_training, arguments, message):
    shutil.copytree("data/processed/sample_digits", "data/processed/mnist")
    result = run_command(*arguments)
    assert result.code == 1 and message in result.said and "Traceback" not in result.said, result.said
