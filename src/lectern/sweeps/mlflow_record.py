"""Record a sweep as an MLflow run, whose child runs are the trainings of the sweep."""

from collections.abc import Iterator
from dataclasses import dataclass

import optuna
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID
from optuna.trial import FrozenTrial, TrialState

from lectern.sweeps.search_space import SearchSpace
from lectern.tracking import store
from lectern.tracking.runs import TRAINING, reopen_run

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

    def read_metric(self, run_id: str, metric: str) -> Iterator[tuple[int, float]]:
        """Yield (training step, value) for each value of a metric that a run has logged."""
        for entry in self.client.get_metric_history(run_id, metric):
            yield entry.step, entry.value

    def finish(self, space: SearchSpace, study: optuna.Study, metric: str) -> None:
        """Log the search space and the best trial to the sweep's run, and mark the run as FINISHED."""
        params = [Param(f"space.{key}", str(values)[:6000]) for key, values in space.items()]
        self.client.log_batch(self.run_id, params=params)
        best = best_trial(study)
        if best and best.datetime_complete:
            values = {f"best.{key}": value for key, value in best.user_attrs["values"].items()}
            tags = [RunTag(key, str(value)) for key, value in {"best.trial": best.number, **values}.items()]
            timestamp = int(best.datetime_complete.timestamp() * 1000)
            best_metric = Metric(f"best_{metric}", study.best_value, timestamp, best.number)
            self.client.log_batch(self.run_id, metrics=[best_metric], tags=tags)
        self.client.set_terminated(self.run_id, "FINISHED")


def start_sweep_run(client: MlflowClient, task: str, name: str, experiment: str) -> SweepRun:
    """Create the MLflow run of a sweep, or reopen the run of an earlier sweep with the same name."""
    experiment_id = store.experiment_id(client, task)
    runs = client.search_runs([experiment_id], f"tags.`{SWEEP}` = '{name}'", max_results=1)
    tags = {SWEEP: name, "lectern.experiment": experiment}
    run = runs[0] if runs else client.create_run(experiment_id, run_name=f"sweep {experiment}", tags=tags)
    reopen_run(client, run)
    return SweepRun(client, experiment_id, run.info.run_id)


def best_trial(study: optuna.Study) -> FrozenTrial | None:
    """Return the best completed trial, or None if no trial is complete."""
    return study.best_trial if study.get_trials(deepcopy=False, states=[TrialState.COMPLETE]) else None
