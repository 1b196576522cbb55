"""Find and restore the MLflow runs of versions.

`mlflow runs delete` marks a run as deleted. `mlflow gc` permanently removes all runs that are marked as deleted, with
their files.
"""

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from lectern.registry.registered_model import RegisteredModel
from lectern.registry.version_record import ModelVersionRecord
from lectern.tracking.runs import is_deleted

MISSING = "RESOURCE_DOES_NOT_EXIST"


def find_version_run(client: MlflowClient, version: ModelVersionRecord) -> Run | None:
    """Return the run of a version, even if it is marked as deleted, or None if the tracking store lacks the run."""
    if not version.run_id:
        return None
    try:
        return client.get_run(version.run_id)
    except MlflowException as error:
        if error.error_code == MISSING:
            return None
        raise


def find_active_run(client: MlflowClient, version: ModelVersionRecord) -> Run | None:
    """Return the run of a version, or None if the run is missing or marked as deleted."""
    run = find_version_run(client, version)
    return None if run is None or is_deleted(run) else run


def restore_deleted_run(client: MlflowClient, version: ModelVersionRecord) -> bool:
    """Restore the run of a version if the run is marked as deleted. Return whether the run was marked as deleted."""
    run = find_version_run(client, version)
    if run is None or not is_deleted(run):
        return False
    client.restore_run(version.run_id)
    return True


def restore_deleted_runs(model: RegisteredModel) -> list[str]:
    """Restore the deleted runs of a model's versions, because `mlflow gc` would delete the files of the versions."""
    return [
        f"{version}: restored the deleted run {version.run_id}"
        for version in model.versions
        if restore_deleted_run(model.client, version)
    ]


def move_aliases_of_lost_versions(model: RegisteredModel, version: ModelVersionRecord) -> None:
    """Move the aliases of lost versions to `version`.

    A version is lost if its run was deleted permanently. Only versions that are older than `version` and have the same
    content as `version` lose their aliases.
    """
    same = [other for other in model.versions if other.identity == version.identity and other.number < version.number]
    for lost in same:
        aliases = [alias for alias, number in model.aliases.items() if number == lost.number]
        if aliases and find_version_run(model.client, lost) is None:
            model.move_aliases(dict.fromkeys(aliases, version.number))


def describe_lost_versions(model: RegisteredModel) -> list[str]:
    """Return a message for each version whose run was deleted permanently, with advice on what to do."""
    lost = [version for version in model.versions if find_version_run(model.client, version) is None]
    return [describe_lost_version(model, version) for version in reversed(lost)]


def describe_lost_version(model: RegisteredModel, version: ModelVersionRecord) -> str:
    newest = model.find(version.identity)
    problem = (
        f"{version} ({version.experiment}): the run {version.run_id or 'none'} of this version was deleted permanently"
    )
    delete = f"delete version {version.number} on the page of the model in MLflow"
    if newest is None or newest.number == version.number:
        return (
            f"{problem}, and no matching outputs exist in this checkout. "
            f"Check out the commit of the training and run dvc checkout and lectern reconcile, or {delete}."
        )
    return f"{problem}. {newest} has the same content and replaces this version, so {delete}."
