"""Search for better hyperparameters of an experiment with parallel trainings. An interrupted search can be resumed."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock, Timeout
from optuna.trial import FrozenTrial, TrialState

from lectern.artifacts.paths import SWEEPS, group_config
from lectern.errors import UserError
from lectern.stages.stage import raise_on_stop_signals
from lectern.sweeps.apply_best import write_values
from lectern.sweeps.comparison import Comparison, SeedTraining, compare_on_further_seeds, train_in_parallel
from lectern.sweeps.mlflow_record import SweepRun, open_sweep_run
from lectern.sweeps.search_space import read_search_space
from lectern.sweeps.study import VALUES, find_trial, open_study
from lectern.sweeps.training_process import TrainingProcess, start_training, stop_orphans
from lectern.sweeps.trial_loop import Limits, Report, TrialLoop, find_better_trial
from lectern.sweeps.trial_plans import (
    check_space,
    comparable_key,
    compose_config,
    read_config_values,
    read_trial_plan,
    trial_overrides,
)
from lectern.tracking import store
from lectern.tracking.ended_runs import settle_ended_runs
from lectern.training.plan import read_plan


@dataclass(frozen=True)
class Outcome:
    """The result of a search."""

    study: optuna.Study
    baseline: FrozenTrial  # the trial with the values in the config
    best: FrozenTrial | None = None  # the best trial, if its result is better than the result of the baseline
    comparison: Comparison | None = None  # the comparison of the best trial with the baseline on further seeds

    @property
    def is_written(self) -> bool:
        """Whether the values of the best trial were written to the config."""
        return self.comparison is not None and self.comparison.is_better()


class Search:
    """A hyperparameter search for one experiment.

    All trials are stored in a file, so that a later search continues with the results of earlier trials.
    """

    def __init__(self, experiment: str, overrides: list[str]):
        self.experiment, self.overrides = experiment, overrides
        self.config = compose_config(overrides)
        self.plan = read_plan(self.config)
        self.space = read_search_space(self.plan.model.name)
        check_space(self.config, self.plan, self.space)
        self.config_values = read_config_values(self.plan, self.space)
        self.key = comparable_key(self.plan, self.space)
        self.folder = SWEEPS / f"{experiment}-{self.key}"

    def run(self, limits: Limits, report: Report) -> Outcome:
        """Run trials until one of the limits is reached.

        At the end, write the best values if they are better than the values in the config. `report` is called with a
        line of text for each finished training. Raises UserError if a different process searches the same model, or if
        the training with the values in the config has no result.
        """
        client, best_metric = store.connect(), self.plan.model.best
        with raise_on_stop_signals(), self.lock():
            for message in settle_ended_runs(client):
                report(message)
            stop_orphans(self.folder)
            study = open_study(self.folder, best_metric["mode"], self.plan.seed)
            with open_sweep_run(client, self.plan.model.task, self.folder.name, self.experiment) as sweep:
                sweep.log_space(self.space)
                TrialLoop(study, sweep, self.space, self.config_values, self.start, self.folder).run(limits, report)
                return self.conclude(study, sweep, limits, report)

    def start(self, values: dict[str, Any], out: Path) -> TrainingProcess:
        """Start a training with the given hyperparameters.

        Raises UserError if the config or the code has changed during the search, because the trials must be comparable.
        """
        plan = read_trial_plan(compose_config(self.overrides), values)
        if comparable_key(plan, self.space) != self.key:
            raise UserError(
                "The config, the data or the code of the training has changed during the search, so further trials "
                "would not be comparable. No values were written. Run the same command again to start a new search."
            )
        return start_training(plan, trial_overrides(self.overrides, values), out)

    def prepare(self, values: dict[str, Any], seed: int) -> SeedTraining:
        """Return a training of the comparison with the given hyperparameters and seed."""
        plan = read_trial_plan(self.config, values, seed)
        words = trial_overrides(
            [*(word for word in self.overrides if not word.startswith("seed=")), f"seed={seed}"], values
        )
        return SeedTraining(plan, words, self.folder / f"seed-{seed}-{plan.key}")

    def conclude(self, study: optuna.Study, sweep: SweepRun, limits: Limits, report: Report) -> Outcome:
        """Compare the best trial with the values in the config. If the best trial is better, write its values."""
        metric = self.plan.model.best["metric"]
        baseline = find_trial(study, self.config_values, TrialState.COMPLETE)
        if baseline is None:
            raise UserError(
                "The training with the values in the config has no result yet, so no values were written. "
                f"Increase --time, or read the logs in {self.folder}."
            )
        sweep.log_best(study.best_trial, metric)
        best = find_better_trial(study, baseline)
        if best is None:
            return Outcome(study, baseline)
        values, seeds = best.user_attrs[VALUES], [self.plan.seed + number for number in range(1, limits.seeds + 1)]
        report(f"comparing trial {best.number} with the values in the config, on {limits.seeds} further seeds")
        train = partial(train_in_parallel, sweep=sweep, parallel=limits.parallel, report=report)
        comparison = compare_on_further_seeds(self.prepare, self.config_values, values, seeds, train)
        sweep.log_comparison(comparison, metric, int(time.time() * 1000))
        if comparison.is_better():
            self.write(values)
        return Outcome(study, baseline, best, comparison)

    def write(self, values: dict[str, Any]) -> None:
        """Write values to the model config. Raises UserError if the config has changed during the search."""
        plan = read_plan(compose_config(self.overrides))
        is_changed = read_config_values(plan, self.space) != self.config_values
        if is_changed or comparable_key(plan, self.space) != self.key:
            path = group_config("model", self.plan.model.name)
            raise UserError(
                f"{path}, the data or the code of the training has changed during the search, so no values were "
                "written. Run the same command again to compare the trials with the changed config."
            )
        write_values(self.plan.model.name, values)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Reject a second search that would write to the same model config."""
        model = self.plan.model.name
        SWEEPS.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(SWEEPS / f"{model}.lock", timeout=0):
                yield
        except Timeout as error:
            raise UserError(
                f"Another process already searches hyperparameters of the model {model}. "
                "Wait until the other process has finished, or stop the process."
            ) from error


def print_line(line: str) -> None:
    """Print a line to stderr."""
    print(line, file=sys.stderr, flush=True)
