"""Connect the training of a trial with Optuna: report validation results, prune the training, and report the result."""

from dataclasses import dataclass, field
from typing import Any

import optuna

from lectern.sweeps.mlflow_record import SweepRun
from lectern.sweeps.training_process import TrainingProcess


@dataclass
class RunningTrial:
    """An Optuna trial whose training is running. Two trials with the same values share one training."""

    trial: optuna.Trial
    values: dict[str, Any]
    training: TrainingProcess
    is_baseline: bool = False  # a trial with the values in the config is never pruned
    last_step: int = field(default=-1)  # training step of the last validation that was reported to Optuna

    def update(self, sweep: SweepRun) -> None:
        """Report new validation results to Optuna, and stop the training if Optuna prunes the trial."""
        run_id = self.training.find_run(sweep)
        metric = self.training.plan.model.best["metric"]
        for step, value in sweep.read_metric(run_id, metric) if run_id else ():
            if step > self.last_step:
                self.trial.report(value, step)
                self.last_step = step
        may_prune = not (self.is_baseline or self.training.has_ended() or self.training.pruned or self.last_step < 0)
        if may_prune and self.trial.should_prune():
            self.training.pruned = True
            self.training.stop()
