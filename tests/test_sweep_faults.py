"""Test that a failing sweep writes only values that are better than the old values, and closes all MLflow runs."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient
from optuna.trial import TrialState

from children import Child, await_file
from fast_search import MODEL, OVERRIDES, insert_fault, prepare_fast_training, read_trainings, run_search
from lectern import cli
from lectern.errors import UserError
from lectern.sweeps.comparison import Comparison
from lectern.sweeps.search import Search
from lectern.tracking.process import identify_process
from lectern.tracking.runs import PROCESS, TRAINING
from lectern.tracking.store import experiment_id
from marked_cases import mostly

# The training at this line waits until the test kills it or the search.
WAIT = "import time; Path('paused').touch(); time.sleep(300)"


@pytest.fixture
def fast_training(project, monkeypatch) -> Path:
    prepare_fast_training(project, monkeypatch)
    return project


def sweep_status(store: str) -> str:
    client = MlflowClient(store, store)
    (run,) = client.search_runs([experiment_id(client, "digits")], "tags.`lectern.sweep` != ''")
    return run.info.status


def start_command(*arguments: str) -> Child:
    sys.argv = ["lectern", "sweep", "demo-digits", "--seeds", "2", *arguments]
    return Child(cli.main)


# The baseline


@pytest.mark.slow
@pytest.mark.nightly
def test_a_failed_training_with_the_values_in_the_config_is_repeated_before_values_are_written(fast_training):
    insert_fault("if rate == 0.006 and seed == 7 and open('trainings.txt').read().count('0.006 7') < 3: sys.exit(1)")
    outcome, lines = run_search(3)
    assert sum("failed, see" in line for line in lines) == 2
    assert outcome.baseline.user_attrs["values"]["module.learning_rate"] == 0.006
    assert outcome.baseline.state == TrialState.COMPLETE and outcome.study.trials[0].state == TrialState.FAIL
    assert outcome.is_written and outcome.best.value > outcome.baseline.value


@pytest.mark.slow
@pytest.mark.nightly
def test_no_values_are_written_if_the_training_with_the_values_in_the_config_always_fails(fast_training, store):
    original = MODEL.read_text()
    insert_fault("if rate == 0.006: sys.exit('lectern: out of memory')")
    with pytest.raises(UserError, match=r"the values in the config failed 3 times, so no values.*: out of memory"):
        run_search(3)
    assert MODEL.read_text() == original and sweep_status(store) == "FAILED"


@pytest.mark.slow
@pytest.mark.parametrize("value", ["metric = 'validation_loss'", "accuracy = float('nan')", "accuracy = float('inf')"])
@pytest.mark.nightly
def test_a_training_without_a_finite_value_of_the_metric_has_failed(fast_training, value):
    insert_fault(f"{value}\nif 'nan' in str(accuracy): out.mkdir(); (out / 'history.csv').write_text("
                 f"'step,epoch,name,value\\n1,0,validation_accuracy,nan'); sys.exit()")  # fmt: skip
    with pytest.raises(UserError, match="failed.*, so no values were written. The training recorded no value of valid"):
        run_search(2)


# Noise


@pytest.mark.slow
@pytest.mark.nightly
def test_values_that_are_better_only_with_the_seed_of_the_search_are_not_written(fast_training):
    original = MODEL.read_text()
    insert_fault("accuracy = 0.9 - (rate == 0.006) * 0.1 if seed == 7 else 0.9 - 0.001 * (seed % 2) * (rate == 0.006)")
    outcome = run_search(2, seeds=4)[0]
    assert outcome.best and not outcome.is_written and MODEL.read_text() == original
    assert "not more than the noise" in outcome.comparison.describe()


@pytest.mark.parametrize(
    ("config", "best", "mode", "is_better"),
    [
        ([0.90, 0.91, 0.92], [0.95, 0.96, 0.97], "max", True),
        ([0.90, 0.91, 0.92], [0.95, 0.96, 0.97], "min", False),
        ([0.90, 0.91, 0.92], [0.90, 0.91, 0.92], "max", False),
        ([0.90, 0.91, 0.92], [0.90, 0.91, 0.97], "max", False),
        ([1.50, 1.51, 1.49], [1.20, 1.25, 1.22], "min", True),
    ],
)
def test_values_are_better_if_their_mean_improvement_is_more_than_noise(config, best, mode, is_better):
    assert Comparison([8, 9, 10], config, best, mode).is_better() == is_better


@pytest.mark.slow
def test_a_failed_training_of_the_comparison_is_repeated_by_the_same_command(fast_training):
    original = MODEL.read_text()
    insert_fault("if seed == 9 and not Path('repaired').exists(): sys.exit('lectern: full disk')")
    with pytest.raises(UserError, match="seed 9 failed.* no values were written"):
        run_search(2)
    assert MODEL.read_text() == original
    trainings = read_trainings()
    Path("repaired").touch()
    assert run_search(2)[0].is_written
    assert {seed for _, seed in read_trainings()[len(trainings) :]} == {9}


@pytest.mark.slow
@pytest.mark.nightly
def test_no_values_are_written_to_a_config_that_was_edited_during_the_search(fast_training):
    insert_fault(f"if seed == 9: path = Path('{MODEL}'); path.write_text(path.read_text().replace('0.006', '0.007'))")
    with pytest.raises(UserError, match="has changed during the search, so no values were written"):
        run_search(2)
    assert "learning_rate: 0.007" in MODEL.read_text()


# Interrupted searches


@pytest.mark.slow
@pytest.mark.parametrize("number", mostly("nightly", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], [signal.SIGINT]))
def test_an_interrupted_search_ends_its_trainings_and_its_runs(fast_training, store, number):
    insert_fault(WAIT)
    child = start_command("--trials", "2")
    await_file("paused")
    os.kill(child.process, number)
    result = child.ended()
    assert result.code == 128 + number and f"stopped by {number.name}. No values were written" in result.said
    assert sweep_status(store) == "KILLED" and not list(Path("runs/sweeps").rglob("*.process"))


@pytest.mark.slow
@pytest.mark.nightly
def test_a_killed_search_is_continued_after_its_training_was_stopped(fast_training, store):
    insert_fault(f"import os; open('pid', 'w').write(str(os.getpid()))\n{WAIT}")
    child = start_command("--trials", "2")
    await_file("paused")
    orphan = identify_process(int(Path("pid").read_text()))
    os.kill(child.process, signal.SIGKILL)
    child.ended()
    assert sweep_status(store) == "RUNNING"
    insert_fault("")
    study = run_search(2)[0].study
    assert [trial.state for trial in study.trials[:2]] == [TrialState.FAIL, TrialState.COMPLETE]
    assert study.trials[0].params == study.trials[1].params
    assert identify_process(orphan.pid).started != orphan.started  # the process has ended
    assert sweep_status(store) == "FINISHED"


@pytest.mark.slow
@pytest.mark.nightly
def test_the_runs_of_killed_trainings_do_not_stay_running(fast_training, store):
    """The search marks the run of a training that was killed, and the run of another search that was killed."""
    client = MlflowClient(store, store)
    experiment = experiment_id(client, "digits")
    ended = subprocess.Popen(["true"])
    process = identify_process(ended.pid).to_tag()
    ended.wait()
    other = client.create_run(experiment, tags={"lectern.sweep": "other", PROCESS: process}).info.run_id
    key = Search("demo-digits", OVERRIDES).plan.key
    run = client.create_run(experiment, tags={TRAINING: key}).info.run_id
    insert_fault("if rate == 0.006 and seed == 7: os.kill(os.getpid(), 9)")
    with pytest.raises(UserError, match="failed 3 times"):
        run_search(2)
    assert client.get_run(run).info.status == "FAILED" and client.get_run(other).info.status == "KILLED"


@pytest.mark.slow
@pytest.mark.nightly
def test_a_second_search_of_the_same_model_is_rejected(fast_training):
    insert_fault(WAIT)
    child = start_command("--trials", "2")
    await_file("paused")
    Path("conf/sweep/digits_cnn.yaml").write_text("module.learning_rate: {low: 0.001, high: 0.1}")
    with pytest.raises(UserError, match="Another process already searches hyperparameters of the model digits_cnn"):
        run_search(1)
    os.kill(child.process, signal.SIGTERM)
    child.ended()
