"""Restore a missing MLflow run in the tracking store from the outputs of the training."""

from contextlib import suppress

from mlflow import MlflowClient
from mlflow.entities import Param, Run, ViewType
from mlflow.exceptions import MlflowException

from lectern.artifacts import history_file
from lectern.artifacts.model_metadata import read_metadata
from lectern.artifacts.paths import PIPELINE_LOCK, ExperimentPaths
from lectern.errors import print_message
from lectern.tracking.artifact_folder import prepare_artifacts
from lectern.tracking.ended_runs import delete_partly_restored_runs, restoration_key
from lectern.tracking.lock_history import find_recorded_training
from lectern.tracking.parameters import format_parameters
from lectern.tracking.process import current_process
from lectern.tracking.run_description import log_parameters, warm_start_tags
from lectern.tracking.runs import COMMIT, PROCESS, RESTORED, TRAINING, WEIGHTS, find_run, is_restored
from lectern.tracking.store import experiment_id
from lectern.tracking.tracker import Tracker, history_update

EVALUATION = "lectern.evaluation"  # tag with the digest of the evaluation that was logged to the run
CONFIG_SOURCE = "lectern.config_source"  # tag with the file from which the config of a restored run was read


def find_or_restore_run(client: MlflowClient, paths: ExperimentPaths) -> Run:
    """Return the run that trained the model of an experiment. If the run is missing, create a run from the outputs.

    The tracking store can lack the run because DVC restores the outputs of a stage from its cache without running the
    stage. If the run is marked as deleted, it is restored, because it has more information than a new run.
    """
    delete_partly_restored_runs(client, paths.task, paths.weights)
    run = find_run(client, paths.task, paths.weights) or undelete_run(client, paths) or restore_run(client, paths)
    return complete_run(client, run, paths) if lacks_training(run) else run


def find_complete_run(client: MlflowClient, paths: ExperimentPaths) -> Run:
    """Find or restore the run of an experiment, and log the evaluation if the run lacks the current evaluation."""
    run = find_or_restore_run(client, paths)
    if paths.is_evaluated() and run.data.tags.get(EVALUATION) != paths.results_digest:
        log_evaluation(Tracker(client, run.info.run_id), paths)
    return client.get_run(run.info.run_id)


def lacks_training(run: Run) -> bool:
    """Return whether a run is a restored run without the config or the commit of its training."""
    return is_restored(run) and not (has_config(run) and run.data.tags.get(COMMIT))


def has_config(run: Run) -> bool:
    """Return whether a run has the config of its training. A restored run can lack the config."""
    return not is_restored(run) or CONFIG_SOURCE in run.data.tags


def complete_run(client: MlflowClient, run: Run, paths: ExperimentPaths) -> Run:
    """Log the config and the commit of the training to a restored run if `dvc.lock` or its history contains them."""
    training = find_recorded_training(paths)
    if training is None:
        return run
    log_parameters(client, run, format_parameters(training.config))
    client.set_tag(run.info.run_id, CONFIG_SOURCE, str(PIPELINE_LOCK))
    if training.commit:
        client.set_tag(run.info.run_id, COMMIT, training.commit)
    return client.get_run(run.info.run_id)


def undelete_run(client: MlflowClient, paths: ExperimentPaths) -> Run | None:
    """Restore the run that trained the model if the run is marked as deleted.

    Return the restored run, or None if there is no deleted run.
    """
    run = find_run(client, paths.task, paths.weights, ViewType.DELETED_ONLY)
    if run is None:
        return None
    client.restore_run(run.info.run_id)
    print_message(f"restored the deleted run {run.info.run_id}, which trained {paths.experiment}")
    return client.get_run(run.info.run_id)


def restore_run(client: MlflowClient, paths: ExperimentPaths) -> Run:
    """Create a run with the tag `lectern.restored` and with the history, test metrics and config in the outputs.

    If an error occurs, the incomplete run is deleted. If the process is killed, a later process deletes the incomplete
    run.
    """
    tags = {
        RESTORED: "true",
        TRAINING: restoration_key(paths.weights),
        PROCESS: current_process().to_tag(),
        "lectern.experiment": paths.experiment,
        "lectern.dataset": paths.dataset,
        **warm_start_tags(read_metadata(paths.model)),
    }
    experiment = experiment_id(client, paths.task)
    prepare_artifacts(client, experiment)
    run = client.create_run(experiment, run_name=paths.experiment, tags=tags)
    try:
        log_outputs(Tracker(client, run.info.run_id), paths)
        client.set_terminated(run.info.run_id, "FINISHED")
    except BaseException:
        with suppress(MlflowException):  # raise the original error even if the tracking store does not answer
            client.delete_run(run.info.run_id)
        raise
    return client.get_run(run.info.run_id)


def log_outputs(tracker: Tracker, paths: ExperimentPaths) -> None:
    """Log the history, the hyperparameters and the test metrics in the outputs of an experiment."""
    table, text_samples = history_file.read_history(paths.model)
    records = [history_file.Record(*row) for row in table.itertuples(index=False)]
    tracker.write(history_update(records, text_samples))
    known = read_metadata(paths.model)["hyperparameters"]
    module = {key: value for key, value in known.items() if key != "facts"}
    parameters = format_parameters({"model": {"module": module}})
    tracker.client.log_batch(tracker.id, params=[Param(key, value) for key, value in parameters.items()])
    if paths.is_evaluated():
        log_evaluation(tracker, paths)
    tracker.log_results({}, {WEIGHTS: paths.weights})


def log_evaluation(tracker: Tracker, paths: ExperimentPaths) -> None:
    """Log the test metrics and the report to a run."""
    numbers = {f"test/{name}": value for name, value in paths.metrics.items() if type(value) in (int, float)}
    tags = {"lectern.test_digest": paths.evaluation["test_digest"], EVALUATION: paths.results_digest}
    tracker.log_results(numbers, tags, paths.report if paths.report.is_dir() else None)
