"""Restore a run that the store lacks from the outputs of its training."""

import json
import sys

from mlflow import MlflowClient
from mlflow.entities import Run, ViewType

from lectern.artifacts import history_file
from lectern.artifacts.paths import ExperimentPaths
from lectern.tracking.runs import MAX_PARAMETER, RESTORED, TRAINING, WEIGHTS, Tracker, find_run
from lectern.tracking.store import experiment_id


def find_or_restore_run(client: MlflowClient, paths: ExperimentPaths) -> Run:
    """Return the run that trained the model; create it from the outputs if the store lacks it.

    The store can lack the run because DVC restores the outputs of a stage from its cache without running the stage. A
    run that is marked as deleted is restored, because it has more information than a new run.
    """
    found = find_run(client, paths.task, paths.weights) or undelete_run(client, paths)
    return found or restore_run(client, paths)


def undelete_run(client: MlflowClient, paths: ExperimentPaths) -> Run | None:
    """Restore a run of these weights that is marked as deleted, and return it, or None if there is none."""
    run = find_run(client, paths.task, paths.weights, ViewType.DELETED_ONLY)
    if run is None:
        return None
    client.restore_run(run.info.run_id)
    print(f"lectern: restored the deleted run {run.info.run_id}, which trained {paths.experiment}", file=sys.stderr)
    return client.get_run(run.info.run_id)


def restore_run(client: MlflowClient, paths: ExperimentPaths) -> Run:
    """Create a run, tagged `lectern.restored`, with the history, hyperparameters and test metrics of the outputs."""
    tags = {
        RESTORED: "true",
        TRAINING: f"restored-{paths.weights}",
        "lectern.experiment": paths.experiment,
        "lectern.dataset": paths.dataset,
    }
    run = client.create_run(experiment_id(client, paths.task), run_name=paths.experiment, tags=tags)
    tracker = Tracker(client, run)
    table, text_samples = history_file.read_history(paths.model)
    tracker.log_history([history_file.Record(*row) for row in table.itertuples(index=False)], text_samples)
    metadata = json.loads((paths.model / "module.json").read_text())
    for key, value in metadata["hyperparameters"].items():
        if key != "facts":
            client.log_param(tracker.id, f"model.module.{key}", str(value)[:MAX_PARAMETER])
    if paths.metrics_file.is_file():
        numbers = {f"test_{key}": value for key, value in paths.metrics.items() if type(value) in (int, float)}
        tracker.log_results(numbers, {}, paths.report if paths.report.is_dir() else None)
    tracker.log_results({}, {WEIGHTS: paths.weights})
    client.set_terminated(tracker.id, "FINISHED")
    return client.get_run(tracker.id)
