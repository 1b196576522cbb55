"""Run a training of a search in a separate process, and read its validation results."""

import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from lectern.artifacts import history_file
from lectern.artifacts.paths import RUNS
from lectern.artifacts.text_lines import split_lines
from lectern.cluster.array_jobs import launch_prefix
from lectern.sweeps.mlflow_record import SweepRun
from lectern.tracking.process import identify_process, is_other_running_process, parse_process
from lectern.training.plan import Plan

PROCESS_SUFFIX = ".process"  # suffix of the file that identifies the process of a running training
ORPHAN_POLL_SECONDS = 0.1


@dataclass
class TrainingProcess:
    """A training that runs in a process on this machine, or in a job that LAUNCH submits."""

    plan: Plan
    out: Path
    process: subprocess.Popen[bytes]
    run_id: str | None = None
    started: float = field(default_factory=time.monotonic)
    pruned: bool = False

    @property
    def log(self) -> Path:
        return self.out.with_suffix(".log")

    def has_ended(self) -> bool:
        return self.process.poll() is not None

    def find_run(self, sweep: SweepRun) -> str | None:
        """Return the ID of the training's MLflow run, and make the run a child run of the sweep."""
        self.run_id = self.run_id or sweep.adopt_training(self.plan.key)
        return self.run_id

    def stop(self) -> None:
        """Send SIGTERM to the training.

        A training on this machine stops after the current training step. A submitted job is cancelled.
        """
        if not self.has_ended():
            os.killpg(self.process.pid, signal.SIGTERM)

    def close(self, sweep: SweepRun, status: str = "FAILED") -> None:
        """After the process has ended, set the status of its MLflow run if the killed process could not do so."""
        self.out.with_suffix(PROCESS_SUFFIX).unlink(missing_ok=True)
        if run_id := self.find_run(sweep):
            sweep.close_training(run_id, status)

    def best_validation(self) -> float | None:
        """Return the best value of the validation metric, or None if the training failed or was pruned."""
        return None if self.process.returncode or self.pruned else read_best_validation(self.plan, self.out)

    def describe_failure(self) -> str:
        """Return the last line of the log of a failed training, and the path of the log."""
        if not self.process.returncode:
            return f"The training recorded no value of {self.plan.model.best['metric']}. See {self.log}."
        last_line = split_lines(self.log.read_text(errors="replace").strip())[-1:] or ["(empty)"]
        return f"The last line of the log is: {last_line[0]} See {self.log}."

    def delete_checkpoints(self) -> None:
        """Delete the run directory of a pruned training, because a pruned training is never resumed."""
        shutil.rmtree(RUNS / self.plan.key, ignore_errors=True)


def start_training(plan: Plan, overrides: list[str], out: Path) -> TrainingProcess:
    """Start a training.

    The text that the training prints is appended to a log file next to the model folder `out`.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    command = [*launch_prefix(), sys.executable, "pipelines/train.py", *overrides, f"out={out}"]
    with open(out.with_suffix(".log"), "ab") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    out.with_suffix(PROCESS_SUFFIX).write_text(identify_process(process.pid).to_tag())
    return TrainingProcess(plan, out, process)


def stop_trainings(trainings: Iterable[TrainingProcess], sweep: SweepRun) -> None:
    """Stop trainings, and wait until their processes have ended."""
    running = list(trainings)
    for training in running:
        training.stop()
    for training in running:
        training.process.wait()
        training.close(sweep, "KILLED")


def stop_orphans(folder: Path) -> None:
    """Stop the training processes that a killed search has not stopped.

    The same trainings can then be resumed. The process files in `folder` identify the processes.
    """
    for path in folder.glob(f"*{PROCESS_SUFFIX}"):
        process = parse_process(path.read_text())
        if process and is_other_running_process(process):
            os.killpg(process.pid, signal.SIGTERM)
            while is_other_running_process(process):
                time.sleep(ORPHAN_POLL_SECONDS)
        path.unlink()


def read_best_validation(plan: Plan, out: Path) -> float | None:
    """Return the best value of the validation metric in a model folder, or None if the folder has no finite value."""
    if not (out / "history.csv").exists():
        return None
    history, _ = history_file.read_history(out)
    values = history.loc[history["name"] == plan.model.best["metric"], "value"]
    best = float(values.max() if plan.model.best["mode"] == "max" else values.min())
    return best if math.isfinite(best) else None
