"""Restore missing runs, versions and decisions in the tracking store from DVC's outputs and the audit log."""

from collections.abc import Callable
from functools import partial

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from lectern.artifacts.paths import AUDIT_LOGS, ExperimentPaths
from lectern.errors import UserError
from lectern.registry import audit_log
from lectern.registry.decision import finish_interrupted
from lectern.registry.evaluated_outputs import check_evaluation
from lectern.registry.lock import promotion_lock
from lectern.registry.register import register, upload_files
from lectern.registry.registered_model import RegisteredModel, find_model, model_names
from lectern.registry.version_identity import version_identity
from lectern.registry.version_record import ModelVersionRecord
from lectern.registry.version_runs import describe_lost_versions, restore_deleted_runs
from lectern.registry.versions import has_model_files
from lectern.stages.experiments import list_experiments
from lectern.tracking.ended_runs import settle_ended_runs
from lectern.tracking.pending_runs import deliver_pending_runs
from lectern.tracking.restored_run import CONFIG_SOURCE, EVALUATION, find_complete_run, has_config
from lectern.tracking.runs import COMMIT, RESTORED, find_run, is_restored
from lectern.tracking.store import first_line

# MLflow's error codes for a problem of one run, version or experiment, such as a deleted run
DAMAGED_ENTRY = ("RESOURCE_DOES_NOT_EXIST", "INVALID_STATE", "INVALID_PARAMETER_VALUE")


def reconcile(client: MlflowClient) -> list[str]:
    """Restore all runs, versions and decisions that the tracking store lacks.

    Return one message for each restored entry and for each entry that cannot be restored. If one experiment or model
    cannot be restored, the remaining experiments and models are still restored.
    """
    messages = deliver_pending_runs(client) + settle_ended_runs(client) + for_each_model(client, restore_deleted_runs)
    for paths in list_experiments():
        if paths.is_complete():
            messages += isolate(paths.experiment, partial(restore_experiment, client, paths))
    return messages + for_each_model(client, restore_decisions) + lost_models(client)


def for_each_model(client: MlflowClient, restore: Callable[[RegisteredModel], list[str]]) -> list[str]:
    """Call a function for each registered model, and return the messages of all calls."""

    def restore_model(name: str) -> list[str]:
        return restore(RegisteredModel(client, name))

    return [message for name in model_names(client) for message in isolate(name, partial(restore_model, name))]


def isolate(subject: str, restore: Callable[[], list[str]]) -> list[str]:
    """Return the messages of `restore`, or its error message with the name `subject` of the experiment or model."""
    try:
        return restore()
    except UserError as error:
        return [f"{subject}: {error}"]
    except MlflowException as error:
        if error.error_code not in DAMAGED_ENTRY:
            raise
        return [f"{subject}: MLflow reports: {first_line(error)}"]


def restore_decisions(model: RegisteredModel) -> list[str]:
    """Copy missing decisions between the audit log and the tracking store, and move the alias `champion`.

    Return messages about the changes, and about versions that cannot be read or have no run.
    """
    with promotion_lock(model):
        model.refresh()
        finish_interrupted(model)
        messages = audit_log.sync(model)
        messages += audit_log.apply_pending(model)
    return messages + [version.reason for version in model.unreadable] + describe_lost_versions(model)


def lost_models(client: MlflowClient) -> list[str]:
    """Return a message for each model that has an audit log but is not registered in the tracking store."""
    names = {path.stem for path in AUDIT_LOGS.glob("*.jsonl")} - set(model_names(client))
    return [
        f"{name}: no version can be restored, because this checkout has no outputs that match the audit log"
        for name in sorted(names)
    ]


def restore_experiment(client: MlflowClient, paths: ExperimentPaths) -> list[str]:
    """Restore the run, the version and the version's files of an experiment if the tracking store lacks them."""
    check_evaluation(paths)
    found = find_run(client, paths.task, paths.weights)
    model = find_model(client, paths.dataset)
    before = model.find(version_identity(paths).digest) if model else None
    run = find_complete_run(client, paths)
    version = register(client, paths, run.info.run_id)
    messages = describe_restored_run(paths, found, run)
    if before and before.number == version.number:
        return messages + restore_files(client, paths, version)
    return [*messages, f"{paths.experiment}: {version}"]


def describe_restored_run(paths: ExperimentPaths, before: Run | None, run: Run) -> list[str]:
    """Return a message that lists which information of a run was restored and which information is lost."""
    if before and has_equal_origin(before, run):
        is_evaluated = before.data.tags.get(EVALUATION) == run.data.tags.get(EVALUATION)
        return [] if is_evaluated else [f"{paths.experiment}: the evaluation of its run"]
    found = [name for name, is_known in (("config", has_config(run)), ("commit", COMMIT in run.data.tags)) if is_known]
    lost = [name for name in ("config", "commit", "machine") if name not in found] if is_restored(run) else []
    restored = ", ".join(["run with its history", *found])
    return [f"{paths.experiment}: {restored}" + (f"; lost: {', '.join(lost)}" if lost else "")]


def has_equal_origin(before: Run, run: Run) -> bool:
    """Return whether the information about the training in a run has not changed."""
    return all(before.data.tags.get(name) == run.data.tags.get(name) for name in (RESTORED, CONFIG_SOURCE, COMMIT))


def restore_files(client: MlflowClient, paths: ExperimentPaths, version: ModelVersionRecord) -> list[str]:
    """Upload the files of a registered version if the files are missing from the tracking store."""
    if has_model_files(client, version):
        return []
    upload_files(client, paths, version.source)
    return [f"{paths.experiment}: the files of {version}"]
