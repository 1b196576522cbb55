"""Record a sweep as an MLflow run, whose child runs are the trainings of the sweep."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID
from optuna.trial import FrozenTrial

from lectern.sweeps.search_space import SearchSpace
from lectern.sweeps.study import VALUES
from lectern.tracking import store
from lectern.tracking.process import current_process
from lectern.tracking.run_end import terminate_run
from lectern.tracking.runs import PROCESS, TRAINING, is_written_elsewhere, reopen_run
from lectern.tracking.tracker import metric_name

if TYPE_CHECKING:
    from lectern.sweeps.comparison import Comparison

SWEEP = "lectern.sweep"


@dataclass(frozen=True)
class SweepRun:
    """A writer for the MLflow run of a sweep."""

    client: MlflowClient
    experiment_id: str
    run_id: str

    def adopt_training(self, training_key: str) -> str | None:
        """Make the MLflow run of a training a child run of the sweep.

        Return the ID of the training's run, or None if the training has no run yet.
        """
        query = f"tags.`{TRAINING}` = '{training_key}'"
        runs = self.client.search_runs([self.experiment_id], query, max_results=1)
        if not runs:
            return None
        run_id: str = runs[0].info.run_id
        self.client.set_tag(run_id, MLFLOW_PARENT_RUN_ID, self.run_id)
        return run_id

    def close_training(self, run_id: str, status: str) -> None:
        """Set the status of a training's run if the run is still RUNNING although its process has ended."""
        run = self.client.get_run(run_id)
        if run.info.status == "RUNNING" and not is_written_elsewhere(run):
            self.client.set_terminated(run_id, status)

    def read_metric(self, run_id: str, metric: str) -> Iterator[tuple[int, float]]:
        """Yield (training step, value) for each value of a training's metric, such as `validation_loss`."""
        for entry in self.client.get_metric_history(run_id, metric_name(metric)):
            yield entry.step, entry.value

    def log_space(self, space: SearchSpace) -> None:
        params = [Param(f"space.{key}", str(values)[:6000]) for key, values in space.items()]
        self.client.log_batch(self.run_id, params=params)

    def log_best(self, best: FrozenTrial, metric: str) -> None:
        """Log the result and the values of the best trial."""
        assert best.value is not None and best.datetime_complete is not None
        values = {f"best.{key}": value for key, value in best.user_attrs[VALUES].items()}
        tags = {"best.trial": best.number, **values}
        timestamp = int(best.datetime_complete.timestamp() * 1000)
        self.log({f"best_{metric}": best.value}, tags, timestamp, best.number)

    def log_comparison(self, comparison: "Comparison", metric: str, timestamp: int) -> None:
        """Log the mean results of the trainings with further seeds, and whether the best values were better."""
        means = {"config": fmean(comparison.config), "best": fmean(comparison.best), "noise": comparison.noise}
        metrics = {f"further_seeds_{name}_{metric}": value for name, value in means.items()}
        self.log(metrics, {"best.is_better": comparison.is_better()}, timestamp, 0)

    def log(self, metrics: dict[str, float], tags: dict[str, Any], timestamp: int, step: int) -> None:
        points = [Metric(name, value, timestamp, step) for name, value in metrics.items()]
        run_tags = [RunTag(name, str(value)) for name, value in tags.items()]
        self.client.log_batch(self.run_id, metrics=points, tags=run_tags)


@contextmanager
def open_sweep_run(client: MlflowClient, task: str, name: str, experiment: str) -> Iterator[SweepRun]:
    """Create the MLflow run of a sweep, or reopen the run of an earlier search with the same name.

    At the end of the block, the run is marked as FINISHED, FAILED or KILLED.
    """
    sweep = start_sweep_run(client, task, name, experiment)
    with terminate_run(client, sweep.run_id, "When the tracking store works, run the same command again."):
        yield sweep


def start_sweep_run(client: MlflowClient, task: str, name: str, experiment: str) -> SweepRun:
    """Create the MLflow run of a sweep, or set the status of its existing run to RUNNING."""
    experiment_id = store.experiment_id(client, task)
    runs = client.search_runs([experiment_id], f"tags.`{SWEEP}` = '{name}'", max_results=1)
    tags = {SWEEP: name, "lectern.experiment": experiment, PROCESS: current_process().to_tag()}
    run = runs[0] if runs else client.create_run(experiment_id, run_name=f"sweep {experiment}", tags=tags)
    reopen_run(client, run)
    return SweepRun(client, experiment_id, run.info.run_id)
