"""Test sweeps: running and resuming trials, pruning, the baseline, and the command."""

import shutil
import subprocess
import sys
from pathlib import Path

import optuna
import pytest
from mlflow import MlflowClient
from mlflow.entities import Metric
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID
from optuna.trial import TrialState

from children import in_child
from fast_search import MODEL, OVERRIDES, insert_fault, prepare_fast_training, read_trainings, run_search
from lectern import cli
from lectern.cli.durations import parse_duration
from lectern.errors import UserError
from lectern.sweeps.apply_best import write_values
from lectern.sweeps.mlflow_record import SweepRun
from lectern.sweeps.search import Search
from lectern.sweeps.training_process import TrainingProcess
from lectern.sweeps.trials import RunningTrial
from lectern.tracking.runs import TRAINING
from lectern.tracking.store import experiment_id

COMPLETE = TrialState.COMPLETE


@pytest.fixture
def fast_training(project, monkeypatch) -> Path:
    prepare_fast_training(project, monkeypatch)
    return project


@pytest.mark.slow
def test_the_first_trial_has_the_values_of_the_config_and_each_result_is_the_best_validation(fast_training, store):
    outcome, lines = run_search(4)
    study = outcome.study
    assert study.trials[0].user_attrs["values"] == {"module.learning_rate": 0.006, "module.network.dropout": 0.5}
    assert study.trials[0].value == pytest.approx(1 - 0.004)
    assert [trial.state for trial in study.trials] == [COMPLETE] * 4
    assert sum(line.startswith("trial ") for line in lines) == 4
    client = MlflowClient(store, store)
    (parent,) = client.search_runs([experiment_id(client, "digits")])
    assert parent.info.status == "FINISHED" and parent.info.run_name == "sweep demo-digits"
    assert parent.data.metrics["best_validation_accuracy"] == study.best_value
    assert parent.data.metrics["further_seeds_best_validation_accuracy"] == study.best_value


@pytest.mark.slow
@pytest.mark.nightly
def test_a_later_search_continues_with_the_trials_of_an_earlier_one_although_the_best_values_were_written(
    fast_training,
):
    original = MODEL.read_text()
    first = run_search(3)[0]
    assert first.is_written and MODEL.read_text() != original
    parameters, trainings = [trial.params for trial in first.study.trials], read_trainings()
    second = run_search(3)[0]
    assert second.best is None and second.baseline.number == first.best.number
    assert read_trainings() == trainings  # The search has trained nothing again.
    third = run_search(5)[0].study
    assert [trial.params for trial in third.trials[:3]] == parameters
    assert len({str(trial.params) for trial in third.trials}) == 5  # No combination of values is tried twice.


@pytest.mark.slow
@pytest.mark.nightly
def test_values_that_the_user_writes_to_the_config_become_the_baseline_of_the_same_study(fast_training):
    run_search(2)
    write_values("digits_cnn", {"module.network.dropout": 0.3})
    outcome = run_search(2)[0]
    assert len(outcome.study.trials) == 3
    assert outcome.baseline.user_attrs["values"]["module.network.dropout"] == 0.3


@pytest.mark.slow
@pytest.mark.nightly
def test_trials_with_equal_values_are_trained_once(fast_training):
    Path("conf/sweep/digits_cnn.yaml").write_text("module.learning_rate: {choices: [0.006, 0.002]}")
    outcome = run_search(8, parallel=3)[0]
    assert len(outcome.study.trials) == 8 and {trial.state for trial in outcome.study.trials} == {COMPLETE}
    assert sorted(read_trainings()) == sorted((rate, seed) for rate in (0.006, 0.002) for seed in (7, 8, 9))


@pytest.mark.slow
def test_a_search_stops_if_the_first_trials_fail_and_shows_the_last_log_line(fast_training, store):
    insert_fault('sys.exit("lectern: no such dataset")')
    with pytest.raises(UserError, match=r"failed.*, so no values were written\. .*: lectern: no such dataset See "):
        run_search(10)
    client = MlflowClient(store, store)
    (parent,) = client.search_runs([experiment_id(client, "digits")])
    assert parent.info.status == "FAILED"


def test_a_pruned_training_is_stopped_and_its_run_is_a_child_of_the_sweep(project, store):
    plan, client = Search("demo-digits", OVERRIDES).plan, MlflowClient(store, store)
    experiment = experiment_id(client, "digits")
    child = client.create_run(experiment, tags={TRAINING: plan.key}).info.run_id
    client.log_batch(child, metrics=[Metric("validation/accuracy", 0.1, 0, 10)])
    study = optuna.create_study(direction="maximize", pruner=optuna.pruners.ThresholdPruner(lower=0.5))
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)"], start_new_session=True)
    training, sweep = TrainingProcess(plan, Path("out"), process), SweepRun(client, experiment, "the run of the sweep")
    RunningTrial(study.ask(), {}, training, is_baseline=True).update(sweep)
    assert not training.has_ended() and not training.pruned
    RunningTrial(study.ask(), {}, training).update(sweep)
    assert process.wait(20) == -15 and training.pruned and training.best_validation() is None
    assert client.get_run(child).data.tags[MLFLOW_PARENT_RUN_ID] == "the run of the sweep"


# The command


def run_command(*arguments: str):
    sys.argv = ["lectern", "sweep", *arguments]
    return in_child(cli.main)


@pytest.mark.slow
def test_the_command_writes_the_best_values_and_names_the_experiments_to_train_again(fast_training):
    result = run_command("demo-digits", "--trials", "4", "--parallel", "4", "--seeds", "2")
    assert result.code == 0, result.said
    assert "With the 2 further seeds 8, 9, the mean result is" in result.said and "noise of 0" in result.said
    assert "git diff conf/model/digits_cnn.yaml" in result.said
    assert "must be trained again: mnist-cnn, demo-digits" in result.said
    assert "learning_rate: 0.006 " not in MODEL.read_text()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["demo-digit"], 1, "did you mean 'demo-digits'?"),
        (["demo-digits", "--time", "two hours"], 1, "--time is 'two hours'; expected a number followed by s, m, h or"),
        (["demo-digits", "--trials", "0"], 2, "greater than or equal to 1"),
        (["demo-digits", "--parallel", "-1"], 2, "greater than or equal to 1"),
        (["demo-digits", "--seeds", "1"], 2, "greater than or equal to 2"),
        (["mnist-resnet"], 1, "conf/sweep/digits_resnet.yaml does not exist"),
    ],
    ids=str,
)
def test_a_wrong_argument_is_reported_without_a_traceback(fast_training, arguments, code, message):
    shutil.copytree("data/processed/sample_digits", "data/processed/mnist")
    result = run_command(*arguments)
    assert result.code == code and message in result.said and "Traceback" not in result.said, result.said


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("1.5h", 5400), ("1h30m", 5400), ("2d", 172800)])
def test_a_duration_is_a_number_with_a_unit(text, seconds):
    assert parse_duration(text, "--time") == seconds


@pytest.mark.parametrize("text", ["0s", "0.0h", "1.2.3h", "2", "h", "", "-1h", "1 h", "1h ago", "1H", "٣h", "nanh"])
def test_an_invalid_duration_is_rejected_with_an_example(text):
    with pytest.raises(UserError, match=r"--time is .*; expected .*, such as 90m"):
        parse_duration(text, "--time")
