"""Train the best values of a search and the values in the config with further seeds, and compare the results.

The best result of many trials is partly due to the random seed of its trial. Seeds that the search has not used show
whether the values themselves are better.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from lectern.errors import UserError
from lectern.sweeps import trial_loop
from lectern.sweeps.mlflow_record import SweepRun
from lectern.sweeps.training_process import TrainingProcess, read_best_validation, start_training, stop_trainings
from lectern.training.callbacks import SIGNS
from lectern.training.plan import Plan

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Comparison:
    """The best validation results of trainings with the values in the config and with the best values, per seed."""

    seeds: list[int]
    config: list[float]
    best: list[float]
    mode: str

    @property
    def differences(self) -> list[float]:
        """The improvement per seed. A positive number means that the best values are better."""
        return [SIGNS[self.mode] * (best - config) for config, best in zip(self.config, self.best, strict=True)]

    @property
    def noise(self) -> float:
        """The largest mean difference that chance produces with 95 % probability (one-sided paired t-test)."""
        from scipy.stats import t  # slow import

        count = len(self.seeds)
        return float(t.ppf(CONFIDENCE, count - 1)) * stdev(self.differences) / math.sqrt(count)

    def is_better(self) -> bool:
        """Return whether the improvement by the best values is larger than the noise."""
        return fmean(self.differences) > self.noise

    def describe(self) -> str:
        relation = "more than" if self.is_better() else "not more than"
        return (
            f"With the {len(self.seeds)} further seeds {', '.join(map(str, self.seeds))}, the mean result is "
            f"{fmean(self.best):.5g} with the best values and {fmean(self.config):.5g} with the values in the config. "
            f"The improvement of {fmean(self.differences):.3g} is {relation} the noise of {self.noise:.3g}."
        )


@dataclass(frozen=True)
class SeedTraining:
    """A training of the comparison. A finished model folder from an earlier search is used again."""

    plan: Plan
    overrides: list[str]
    out: Path

    @property
    def result(self) -> float | None:
        return read_best_validation(self.plan, self.out)


def compare_on_further_seeds(
    prepare: Callable[[dict[str, Any], int], SeedTraining],
    config: dict[str, Any],
    best: dict[str, Any],
    seeds: list[int],
    train: Callable[[list[SeedTraining]], None],
) -> Comparison:
    """Train with the values in the config and with the best values, each with every seed, and return the results.

    `prepare` creates the training with the given values and seed, and `train` runs trainings.
    """
    pairs = [(prepare(config, seed), prepare(best, seed)) for seed in seeds]
    train([training for pair in pairs for training in pair if training.result is None])
    config_results, best_results = ([require_result(pair[column]) for pair in pairs] for column in (0, 1))
    return Comparison(seeds, config_results, best_results, pairs[0][0].plan.model.best["mode"])


def require_result(training: SeedTraining) -> float:
    """Return the result of a training. Raises UserError if the training has failed."""
    if training.result is None:
        raise UserError(
            f"A training with the seed {training.plan.seed} failed, so the best values could not be compared with the "
            f"values in the config, and no values were written. See {training.out.with_suffix('.log')}. "
            "Run the same command again to repeat this training."
        )
    return training.result


def train_in_parallel(waiting: list[SeedTraining], sweep: SweepRun, parallel: int, report: trial_loop.Report) -> None:
    """Run trainings, at most `parallel` at the same time. If the function is interrupted, the trainings are stopped."""
    running: list[TrainingProcess] = []
    queue: Iterator[SeedTraining] = iter(waiting)
    try:
        while True:
            while len(running) < parallel and (training := next(queue, None)):
                running.append(start_training(training.plan, training.overrides, training.out))
            if not running:
                return
            time.sleep(trial_loop.POLL_SECONDS)
            for process in list(running):
                process.find_run(sweep)
                if process.has_ended():
                    process.close(sweep)
                    running.remove(process)
                    report(describe_result(process))
    finally:
        stop_trainings(running, sweep)


def describe_result(training: TrainingProcess) -> str:
    value = training.best_validation()
    name, seconds = training.plan.model.best["metric"], time.monotonic() - training.started
    result = f"failed, see {training.log}" if value is None else f"{name} {value:.5g}"
    return f"{training.out.name}: {result} ({seconds:.0f} s)"
