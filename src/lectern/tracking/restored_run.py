"""TODO: lectern.tracking.restored_run."""

import json

from mlflow import MlflowClient
from mlflow.entities import Run

from lectern.artifacts import history_file
from lectern.artifacts.paths import ExperimentPaths
from lectern.tracking.runs import RESTORED, TRAINING, WEIGHTS, Tracker, find_run
from lectern.tracking.store import experiment_id


def find_or_restore_run(client: MlflowClient, paths: ExperimentPaths) -> Run:
    """The run that the weights came from, or one made from the paths and tagged `restored`.

    DVC restores a stage from its cache without running it: the store may never have heard of the training.
    """
    return find_run(client, paths.task, paths.weights) or restore_run(client, paths)


def restore_run(client: MlflowClient, paths: ExperimentPaths) -> Run:
    """A run with the history, hyperparameters and figures that the paths hold."""
    described = json.loads((paths.model / "module.json").read_text())
    tags = {RESTORED: "true", TRAINING: f"restored-{paths.weights}", "lectern.experiment": paths.experiment,
            "lectern.dataset": paths.dataset}  # fmt: skip
    run = client.create_run(experiment_id(client, paths.task), run_name=paths.experiment, tags=tags)
    tracker = Tracker(client, run)
    table, shown = history_file.read_history(paths.model)
    tracker.log([history_file.Record(*row) for row in table.itertuples(index=False)], shown)
    plain = {key: value for key, value in described["hyperparameters"].items() if key != "facts"}
    for key, value in plain.items():
        client.log_param(tracker.id, f"model.module.{key}", str(value)[:6000])
    if paths.metrics_file.is_file():
        numbers = {f"test_{key}": value for key, value in paths.metrics.items() if type(value) in (int, float)}
        tracker.add(numbers, {}, paths.report if paths.report.is_dir() else None)
    tracker.add({}, {WEIGHTS: paths.weights})
    client.set_terminated(tracker.id, "FINISHED")
    return client.get_run(tracker.id)
