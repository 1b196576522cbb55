"""Run the training of one trial in a separate process, and read its validation results from MLflow."""

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna

from lectern.artifacts import history_file
from lectern.artifacts.paths import RUNS
from lectern.cluster.array_jobs import launch_prefix
from lectern.sweeps.mlflow_record import SweepRun
from lectern.training.plan import Plan


@dataclass
class RunningTrial:
    """An Optuna trial whose training runs in a process on this machine, or in a job that LAUNCH submits."""

    trial: optuna.Trial
    plan: Plan
    values: dict[str, Any]
    out: Path
    process: subprocess.Popen[bytes]
    started: float = field(default_factory=time.monotonic)
    run_id: str | None = None
    last_step: int = -1  # training step of the last validation that was reported to Optuna
    pruned: bool = False

    @property
    def metric(self) -> str:
        return self.plan.model.best["metric"]

    @property
    def log(self) -> Path:
        return self.out.with_suffix(".log")

    def update(self, sweep: SweepRun) -> None:
        """Report new validation results to Optuna, and stop the training if Optuna prunes the trial."""
        self.run_id = self.run_id or sweep.adopt_training(self.plan.key)
        for step, value in sweep.read_metric(self.run_id, self.metric) if self.run_id else ():
            if step > self.last_step:
                self.trial.report(value, step)
                self.last_step = step
        is_running = self.process.poll() is None
        if is_running and self.last_step >= 0 and not self.pruned and self.trial.should_prune():
            self.pruned = True
            self.terminate()

    def terminate(self) -> None:
        """Send SIGTERM to the training.

        A training on this machine stops after the current training step. A submitted job is cancelled.
        """
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)

    def best_validation(self) -> float | None:
        """Return the best value of the validation metric, or None if the training failed or was pruned."""
        if self.process.returncode or self.pruned or not (self.out / "history.csv").exists():
            return None
        history, _ = history_file.read_history(self.out)
        values = history.loc[history["name"] == self.metric, "value"]
        return float(values.max() if self.plan.model.best["mode"] == "max" else values.min())

    def delete_checkpoints(self) -> None:
        """Delete the run directory of a pruned training, because a pruned training is never resumed."""
        shutil.rmtree(RUNS / self.plan.key, ignore_errors=True)


def start_trial(
    trial: optuna.Trial, plan: Plan, values: dict[str, Any], overrides: list[str], out: Path
) -> RunningTrial:
    """Start the training of a trial.

    The text that the training prints is appended to a log file next to the model folder `out`.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    command = [*launch_prefix(), sys.executable, "pipelines/train.py", *overrides, f"out={out}"]
    with open(out.with_suffix(".log"), "ab") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    return RunningTrial(trial, plan, values, out, process)
