"""What DVC's paths and the trail know, written back to a store that lacks it: runs, versions, decisions."""

from mlflow import MlflowClient

from lectern.artifacts.paths import ExperimentPaths
from lectern.registry import audit_log, register, versions
from lectern.registry.lock import promotion_lock
from lectern.registry.versions import has_version
from lectern.stages.experiments import list_experiments
from lectern.tracking.restored_run import find_or_restore_run
from lectern.tracking.runs import find_run


def reconcile(client: MlflowClient) -> list[str]:
    """Write back whatever the store lacks; returns what was done and what is lost, a line each."""
    done = [line for paths in list_experiments() if paths.is_complete() for line in restore(client, paths)]
    for name in versions.names(client):
        with promotion_lock(client, name):
            done += audit_log.sync(client, name) + audit_log.apply_pending(client, name)
    return done + unregistered(client)


def unregistered(client: MlflowClient) -> list[str]:
    """Models of the trail of which no version is left."""
    trails = {path.stem for path in audit_log.FOLDER.glob("*.jsonl")} - set(versions.names(client))
    return [f"{name}: lost with every version that was decided on; its paths are not here" for name in sorted(trails)]


def restore(client: MlflowClient, paths: ExperimentPaths) -> list[str]:
    """The run and the version of an experiment's paths, where they are missing."""
    had_run = find_run(client, paths.task, paths.weights) is not None
    had_version = has_version(client, paths)
    run = find_or_restore_run(client, paths)
    if had_run and had_version:
        return restore_files(client, paths)
    version = register.register(client, paths, run.info.run_id)
    restored = [] if had_run else [f"{paths.experiment}: run with its history; its config, commit and machine are lost"]
    return restored if had_version else [*restored, f"{paths.experiment}: {paths.dataset} version {version.version}"]


def restore_files(client: MlflowClient, paths: ExperimentPaths) -> list[str]:
    """The files of a version that the store still tells of."""
    version = versions.find_version(client, paths.dataset, paths.version_tags())
    if version is None or versions.has_files(client, version):
        return []
    register.upload_files(client, paths, version.run_id)
    return [f"{paths.experiment}: the files of {paths.dataset} version {version.version}"]
