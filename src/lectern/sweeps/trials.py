"""One set of values to a training in a process of its own, step_metrics through its MLflow run."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
from mlflow import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from lectern.artifacts import history_file
from lectern.artifacts.paths import RUNS
from lectern.tracking.runs import TRAINING
from lectern.tracking.store import experiment_id
from lectern.training.plan import Plan


@dataclass
class Running:
    """A trial whose training runs: here, or as the job that LAUNCH sends."""

    trial: optuna.Trial
    plan: Plan
    values: dict[str, Any]
    out: Path
    process: subprocess.Popen
    began: float = field(default_factory=time.monotonic)
    run: str | None = None
    reported: int = -1
    pruned: bool = False

    @property
    def metric(self) -> str:
        return self.plan.model.best["metric"]

    def watch(self, client: MlflowClient, parent: str) -> None:
        """Report new validations; end the training where it is worse than others were at the same step."""
        self.run = self.run or self.adopt(client, parent)
        for step, value in self.validations(client):
            self.trial.report(value, step)
            self.reported = step
        still_runs = self.process.poll() is None
        if still_runs and self.reported >= 0 and not self.pruned and self.trial.should_prune():
            self.pruned = True
            self.end()

    def adopt(self, client: MlflowClient, parent: str) -> str | None:
        """The training's own run, once there is one, made a child of the sweep's."""
        query = f"tags.`{TRAINING}` = '{self.plan.key}'"
        found = client.search_runs([experiment_id(client, self.plan.model.task)], query, max_results=1)
        if not found:
            return None
        client.set_tag(found[0].info.run_id, MLFLOW_PARENT_RUN_ID, parent)
        return found[0].info.run_id

    def validations(self, client: MlflowClient) -> Iterator[tuple[int, float]]:
        history = client.get_metric_history(self.run, self.metric) if self.run else []
        return ((point.step, point.value) for point in history if point.step > self.reported)

    def end(self) -> None:
        """As a user's Ctrl-C would: a training ends at its step, a job is cancelled."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)

    def result(self) -> float | None:
        """The best validation of a training that came to its end."""
        if self.process.returncode or self.pruned or not (self.out / "history.csv").exists():
            return None
        history, _ = history_file.read_history(self.out)
        return getattr(history.loc[history["name"] == self.metric, "value"], self.plan.model.best["mode"])()

    def forget(self) -> None:
        """A pruned training will never go on."""
        shutil.rmtree(RUNS / self.plan.key, ignore_errors=True)


def start(trial: optuna.Trial, plan: Plan, values: dict[str, Any], words: list[str], out: Path) -> Running:
    """The training of these values, with what it prints in a log beside its out."""
    launch = shlex.split(os.environ.get("LAUNCH", ""))
    out.parent.mkdir(parents=True, exist_ok=True)
    with open(out.with_suffix(".log"), "ab") as log:
        process = subprocess.Popen(
            [*launch, sys.executable, "pipelines/train.py", *words, f"out={out}"],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    return Running(trial, plan, values, out, process)
