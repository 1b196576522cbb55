"""Run the trials of a search in parallel until the study has enough trials."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from lectern.errors import UserError
from lectern.sweeps.mlflow_record import SweepRun
from lectern.sweeps.search_space import SearchSpace
from lectern.sweeps.study import VALUES, copy_result, enqueue_baseline, find_trial
from lectern.sweeps.training_process import TrainingProcess, stop_trainings
from lectern.sweeps.trials import RunningTrial

FINISHED_STATES = (TrialState.COMPLETE, TrialState.PRUNED)
POLL_SECONDS = 2.0
MAX_FAILURES = 3  # number of failed trainings without any result after which the search stops
Report = Callable[[str], None]


@dataclass(frozen=True)
class Limits:
    """The limits of a search, which the user sets on the command line."""

    trials: int  # number of trials in the study, including the trials of earlier searches
    parallel: int = 1
    seconds: float = float("inf")  # no new trial starts after this time
    seeds: int = 3  # number of further seeds for the comparison of the best values with the values in the config


class TrialLoop:
    """A loop that starts trainings, reports their results to Optuna, and repeats the baseline if it fails.

    The baseline is the trial with the values in the config. `start` starts the training of a trial in a model folder.
    """

    def __init__(
        self,
        study: optuna.Study,
        sweep: SweepRun,
        space: SearchSpace,
        baseline: dict[str, Any],
        start: Callable[[dict[str, Any], Path], TrainingProcess],
        folder: Path,
    ):
        self.study, self.sweep, self.space, self.baseline = study, sweep, space, baseline
        self.start, self.folder = start, folder
        self.running: list[RunningTrial] = []
        self.failed = self.failed_baselines = 0

    def run(self, limits: Limits, report: Report) -> None:
        """Start trainings and poll their processes until all trials have ended.

        If the loop is interrupted, the running trainings are stopped.
        """
        deadline = time.monotonic() + limits.seconds
        enqueue_baseline(self.study, self.space, self.baseline)
        try:
            while True:
                while self.may_start(limits) and time.monotonic() < deadline:
                    if line := self.start_next():
                        report(line)
                if not self.running:
                    return
                time.sleep(POLL_SECONDS)
                for trial in list(self.running):
                    trial.update(self.sweep)
                    if trial.training.has_ended():
                        report(self.finish_trial(trial))
        finally:
            stop_trainings((trial.training for trial in self.running), self.sweep)

    def may_start(self, limits: Limits) -> bool:
        """Return whether a further trial may start. The baseline may start even if the study has enough trials."""
        if len(self.running) >= limits.parallel:
            return False
        finished = len(self.study.get_trials(deepcopy=False, states=FINISHED_STATES))
        remaining = limits.trials - finished - (self.failed - self.failed_baselines)
        return len(self.running) < remaining or bool(find_trial(self.study, self.baseline, TrialState.WAITING))

    def start_next(self) -> str | None:
        """Start a training with the hyperparameters that Optuna suggests next.

        If an earlier trial has the same values, no training starts. The new trial then gets the result of the earlier
        trial, and a line of text about the new trial is returned.
        """
        trial = self.study.ask()
        suggested = {key: values.suggest(trial, key) for key, values in self.space.items()}
        values: dict[str, Any] = trial.user_attrs.get(VALUES, suggested)
        trial.set_user_attr(VALUES, values)
        is_baseline = values == self.baseline
        earlier = find_trial(self.study, values, TrialState.COMPLETE, *(() if is_baseline else (TrialState.PRUNED,)))
        if earlier:
            copy_result(self.study, trial, earlier)
            return f"trial {trial.number}: has the values and the result of trial {earlier.number}"
        twin = next((other.training for other in self.running if other.values == values), None)
        training = twin or self.start(values, self.folder / f"{trial.number:03}")
        self.running.append(RunningTrial(trial, values, training, is_baseline))
        return None

    def finish_trial(self, trial: RunningTrial) -> str:
        """Report to Optuna the result of a training that has ended. Return a line of text about the result."""
        trial.update(self.sweep)  # report the last validations to Optuna
        training, metric = trial.training, trial.training.plan.model.best["metric"]
        training.close(self.sweep, "KILLED" if training.pruned else "FAILED")
        self.running.remove(trial)
        value, seconds = training.best_validation(), time.monotonic() - training.started
        if value is not None:
            self.study.tell(trial.trial, value)
            result = f"{metric} {value:.5g}, best so far {self.study.best_value:.5g}"
        elif training.pruned:
            self.study.tell(trial.trial, state=TrialState.PRUNED)
            training.delete_checkpoints()
            result = f"pruned at step {trial.last_step}"
        else:
            self.study.tell(trial.trial, state=TrialState.FAIL)
            result = f"failed, see {training.log}"
            self.count_failure(trial)
        values = ", ".join(f"{key.rpartition('.')[2]} {number}" for key, number in trial.values.items())
        return f"trial {trial.trial.number}: {result} ({values}, {seconds:.0f} s)"

    def count_failure(self, trial: RunningTrial) -> None:
        """Count a failed trial. A failed baseline is repeated.

        Raises UserError if the baseline has failed too often, or if the first trials have all failed.
        """
        self.failed += 1
        self.failed_baselines += trial.is_baseline
        if self.failed_baselines >= MAX_FAILURES:
            problem = f"The training with the values in the config failed {self.failed_baselines} times"
        elif self.failed >= MAX_FAILURES and not self.study.get_trials(states=FINISHED_STATES):
            problem = f"The first {self.failed} trials failed"
        else:
            if trial.is_baseline:
                enqueue_baseline(self.study, self.space, self.baseline)
            return
        raise UserError(f"{problem}, so no values were written. {trial.training.describe_failure()}")


def find_better_trial(study: optuna.Study, baseline: FrozenTrial) -> FrozenTrial | None:
    """Return the best trial if its result is better than the result of the baseline, and otherwise None."""
    assert baseline.value is not None
    sign = 1 if study.direction == optuna.study.StudyDirection.MAXIMIZE else -1
    return study.best_trial if sign * study.best_value > sign * baseline.value else None
