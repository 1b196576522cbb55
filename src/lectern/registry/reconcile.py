"""Restore runs, versions and decisions that the store lacks, from DVC's outputs and the audit log."""

from mlflow import MlflowClient

from lectern.artifacts.paths import AUDIT_LOGS, ExperimentPaths
from lectern.errors import UserError
from lectern.registry import audit_log
from lectern.registry.decision import finish_interrupted
from lectern.registry.evaluated_outputs import check_evaluation
from lectern.registry.lock import promotion_lock
from lectern.registry.register import register, upload_files
from lectern.registry.registered_model import RegisteredModel, find_model, model_names
from lectern.registry.version_record import VersionIdentity, version_identity
from lectern.registry.versions import has_model_files
from lectern.stages.experiments import list_experiments
from lectern.tracking.restored_run import find_or_restore_run
from lectern.tracking.runs import find_run


def reconcile(client: MlflowClient) -> list[str]:
    """Restore everything that the store lacks.

    Return one message for each restored entry, and one for each entry that cannot be restored.
    """
    complete = [paths for paths in list_experiments() if paths.is_complete()]
    messages = [message for paths in complete for message in restore_experiment(client, paths)]
    for name in model_names(client):
        messages += restore_decisions(RegisteredModel(client, name))
    return messages + lost_models(client)


def restore_decisions(model: RegisteredModel) -> list[str]:
    """Synchronise the audit log and move the alias `champion`; report versions that cannot be read."""
    with promotion_lock(model):
        model.refresh()
        finish_interrupted(model)
        messages = audit_log.sync(model)
        messages += audit_log.apply_pending(model)
    return messages + [version.reason for version in model.unreadable]


def lost_models(client: MlflowClient) -> list[str]:
    """Report the models that have an audit log but no version in the store."""
    names = {path.stem for path in AUDIT_LOGS.glob("*.jsonl")} - set(model_names(client))
    return [
        f"{name}: cannot restore any version: the audit log names some, but no matching outputs exist in this checkout"
        for name in sorted(names)
    ]


def restore_experiment(client: MlflowClient, paths: ExperimentPaths) -> list[str]:
    """Restore the run and the version of an experiment if they are missing."""
    try:
        check_evaluation(paths)
        identity = version_identity(paths)
    except UserError as error:
        return [f"{paths.experiment}: {error}"]
    had_run = find_run(client, paths.task, paths.weights) is not None
    model = find_model(client, paths.dataset)
    had_version = model is not None and model.find(identity) is not None
    run = find_or_restore_run(client, paths)
    if had_run and had_version:
        return restore_files(client, paths, identity)
    version = register(client, paths, run.info.run_id)
    messages = [] if had_run else [f"{paths.experiment}: run with its history; its config, commit and machine are lost"]
    return messages if had_version else [*messages, f"{paths.experiment}: {version}"]


def restore_files(client: MlflowClient, paths: ExperimentPaths, identity: VersionIdentity) -> list[str]:
    """Upload the files of a registered version if they are missing."""
    version = RegisteredModel(client, paths.dataset).find(identity)
    if version is None or has_model_files(client, version):
        return []
    upload_files(client, paths, version.run_id, identity)
    return [f"{paths.experiment}: the files of {version}"]
