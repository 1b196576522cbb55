"""Searches for better values: over what may vary, in trainings that are step_metrics, to a line of config to commit."""

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
from lectern.sweeps import apply_best, search
from lectern.sweeps.search import Search
from lectern.sweeps.search_space import Range, read_search_space
from lectern.sweeps.trials import RunningTrial
from lectern.tracking import store as runs

ROOT = Path(__file__).parents[1]
WORDS = ["dataset=sample_digits", "model=digits_cnn", "seed=7", "budget=laptop"]
STAND_IN = """
import os, sys
from pathlib import Path
words = dict(word.split("=", 1) for word in sys.argv[1:])
rate = float(words["model.module.learning_rate"])
if os.environ.get("TRAININGS") == "fail":
    sys.exit("lectern: there is no such data")
out = Path(words["out"])
out.mkdir()
lines = [f"{step},0,validation_accuracy,{value}" for step, value in ((1, 0.5), (2, 1 - abs(rate - 0.002)), (3, 0.6))]
(out / "history.csv").write_text("\\n".join(["step,epoch,name,value", *lines]))
"""


@pytest.fixture
def stand_in(house, monkeypatch) -> Path:
    """A checkout whose training is done at once: the nearer the learning rate is to 0.002, the better."""
    (house / "pipelines" / "train.py").write_text(STAND_IN)
    monkeypatch.setattr(search, "PAUSE", 0.02)
    return house


def run(trials: int, parallel: int = 2) -> tuple[Search, optuna.Study, list[str]]:
    told: list[str] = []
    one = Search("demo-digits", WORDS)
    return one, one.run(trials, parallel, None, told.append), told


@pytest.mark.parametrize("path", sorted((ROOT / "conf/sweep").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_key_of_a_sweep_is_one_of_its_models_and_holds_the_value_it_has(path, monkeypatch):
    monkeypatch.chdir(ROOT)
    model = yaml.safe_load((ROOT / "conf/model" / path.name).read_text())
    for key, one in read_search_space(path.stem).items():
        value = model
        for part in key.split("."):
            value = value[part]
        assert value in one.choices if one.choices else one.low <= value <= one.high, key


def test_a_model_without_a_sweep_is_answered_with_what_to_write(house):
    with pytest.raises(UserError, match=r"no conf/sweep/digits_resnet.yaml.*module.learning_rate: \{low"):
        read_search_space("digits_resnet")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("module.learning_rat: {low: 1, high: 2}", "has no key 'module.learning_rat'"),
        ("module.learning_rate: {lowest: 1, high: 2}", "unknown key 'lowest'; did you mean 'low'"),
        ("module.learning_rate: {low: 1}", "give low and high, or choices"),
    ],
)
def test_a_wrong_line_of_a_sweep_is_named(house, line, says):
    Path("conf/sweep/digits_cnn.yaml").write_text(line)
    with pytest.raises(UserError, match=says):
        read_search_space("digits_cnn")


def test_suggested_values_lie_in_their_range_and_are_fit_to_be_read():
    study = optuna.create_study()
    for _ in range(20):
        trial = study.ask()
        rate = Range(0.001, 0.1, log=True).suggest(trial, "rate")
        assert 0.001 <= rate <= 0.1 and len(f"{rate:g}".lstrip("0.")) <= 3
        assert Range(1, 5).suggest(trial, "layers") in range(1, 6)
        assert Range(choices=["rnn", "gru"]).suggest(trial, "cell") in ("rnn", "gru")


def test_the_winner_changes_its_values_and_nothing_else(house):
    before = Path("conf/model/digits_cnn.yaml").read_text()
    apply_best.write_values("digits_cnn", {"module.learning_rate": 0.007, "module.network.dropout": 0.4})
    after = Path("conf/model/digits_cnn.yaml").read_text()
    assert after == before.replace("learning_rate: 0.006", "learning_rate: 0.007").replace(
        "dropout: 0.5", "dropout: 0.4"
    )


def test_a_search_starts_from_the_config_and_takes_the_best_validation_of_each(stand_in, store):
    one, study, told = run(4)
    assert study.trials[0].user_attrs["values"] == {"module.learning_rate": 0.006, "module.network.dropout": 0.5}
    assert study.trials[0].value == pytest.approx(1 - 0.004)
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 4 and len(told) == 4
    client = MlflowClient(store, store)
    (parent,) = client.search_runs([runs.experiment_id(client, "digits")])
    assert parent.info.status == "FINISHED" and parent.info.run_name == "sweep demo-digits"
    assert parent.data.metrics["best_validation_accuracy"] == study.best_value


def test_a_search_goes_on_from_the_trials_of_the_one_before(stand_in):
    first = [trial.params for trial in run(2)[1].trials]
    second = run(5)[1]
    assert len(first) == 2 and len(second.trials) == 5
    assert [trial.params for trial in second.trials[:2]] == first
    assert len({str(trial.params) for trial in second.trials}) == 5  # it draws its own, not the first one's again


def test_a_trial_of_a_search_that_was_killed_is_begun_again(stand_in):
    one = Search("demo-digits", WORDS)
    one.begin(one.open_study()).process.wait()  # and nobody tells how it ended
    study = run(2)[1]
    assert [trial.state for trial in study.trials[:2]] == [TrialState.FAIL, TrialState.COMPLETE]
    assert study.trials[0].params == study.trials[1].params


def test_a_search_whose_trainings_all_fail_says_what_they_said(stand_in, monkeypatch):
    monkeypatch.setenv("TRAININGS", "fail")
    with pytest.raises(UserError, match="The first 3 trials failed; the last one said: lectern: there is no such"):
        run(10)


def test_another_search_of_the_same_experiment_is_refused(stand_in):
    one = Search("demo-digits", WORDS)
    one.folder.mkdir(parents=True)
    with FileLock(one.folder.with_suffix(".lock")), pytest.raises(UserError, match="being searched by another process"):
        run(1)


def test_a_training_worse_than_the_others_is_ended_and_its_run_is_a_child_of_the_sweeps(house, store):
    one, client = Search("demo-digits", WORDS), MlflowClient(store, store)
    experiment = runs.experiment_id(client, "digits")
    child = client.create_run(experiment, tags={runs.TRAINING: one.plan.key}).info.run_id
    client.log_batch(child, metrics=[Metric("validation_accuracy", 0.1, 0, 10)])
    study = optuna.create_study(direction="maximize", pruner=optuna.pruners.ThresholdPruner(lower=0.5))
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)"], start_new_session=True)
    running = RunningTrial(study.ask(), one.plan, {}, Path("out"), process)
    running.watch(client, "the sweep's")
    assert process.wait(20) == -15 and running.pruned and running.result() is None
    assert client.get_run(child).data.tags[MLFLOW_PARENT_RUN_ID] == "the sweep's"


def sweep(*words: str):
    sys.argv = ["lectern", "sweep", *words]
    return in_child(cli.main)


def test_the_command_writes_the_winner_and_tells_what_that_makes_stale(stand_in):
    ended = sweep("demo-digits", "--trials", "4", "--parallel", "4")
    assert ended.code == 0, ended.said
    assert "git diff conf/model/digits_cnn.yaml" in ended.said and "stale: demo-digits, mnist-cnn" in ended.said
    assert "learning_rate: 0.006 " not in Path("conf/model/digits_cnn.yaml").read_text()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["demo-digit"], "no experiment 'demo-digit'; did you mean 'demo-digits'?"),
        (["demo-digits", "--time", "two hours"], "as 90m or 2h"),
        (["mnist-resnet"], "no conf/sweep/digits_resnet.yaml"),
    ],
    ids=str,
)
def test_a_mistake_is_answered_plainly(stand_in, words, says):
    shutil.copytree("data/processed/sample_digits", "data/processed/mnist")
    ended = sweep(*words)
    assert ended.code == 1 and says in ended.said and "Traceback" not in ended.said, ended.said
