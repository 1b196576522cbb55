"""Find the runs of versions, which people delete with `mlflow runs delete` and, with their files, with `mlflow gc`."""

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from lectern.registry.registered_model import RegisteredModel
from lectern.registry.version_record import ModelVersionRecord
from lectern.tracking.runs import is_deleted

MISSING = "RESOURCE_DOES_NOT_EXIST"


def find_version_run(client: MlflowClient, version: ModelVersionRecord) -> Run | None:
    """Return the run of a version, which can be marked as deleted, or None if the store does not contain it."""
    if not version.run_id:
        return None
    try:
        return client.get_run(version.run_id)
    except MlflowException as error:
        if error.error_code == MISSING:
            return None
        raise


def find_active_run(client: MlflowClient, version: ModelVersionRecord) -> Run | None:
    """Return the run of a version, or None if it is missing or deleted."""
    run = find_version_run(client, version)
    return None if run is None or is_deleted(run) else run


def restore_deleted_run(client: MlflowClient, version: ModelVersionRecord) -> bool:
    """Restore the run of a version if it is marked as deleted. Return whether it was."""
    run = find_version_run(client, version)
    if run is None or not is_deleted(run):
        return False
    client.restore_run(version.run_id)
    return True


def restore_deleted_runs(model: RegisteredModel) -> list[str]:
    """Restore the deleted runs that belong to versions of a model. `mlflow gc` would delete their files."""
    return [
        f"{version}: restored its deleted run {version.run_id}"
        for version in model.versions
        if restore_deleted_run(model.client, version)
    ]


def move_aliases_of_lost_versions(model: RegisteredModel, version: ModelVersionRecord) -> None:
    """Move the aliases of versions that have the same content as `version` and no run any more to `version`."""
    same = [other for other in model.versions if other.identity == version.identity and other.number < version.number]
    for lost in same:
        aliases = [alias for alias, number in model.aliases.items() if number == lost.number]
        if aliases and find_version_run(model.client, lost) is None:
            model.move_aliases(dict.fromkeys(aliases, version.number))


def describe_lost_versions(model: RegisteredModel) -> list[str]:
    """Name the versions whose run does not exist any more, and say what to do with them."""
    lost = [version for version in model.versions if find_version_run(model.client, version) is None]
    return [describe_lost_version(model, version) for version in reversed(lost)]


def describe_lost_version(model: RegisteredModel, version: ModelVersionRecord) -> str:
    newest = model.find(version.identity)
    problem = f"{version} ({version.experiment}): its run {version.run_id or 'none'} was deleted permanently"
    delete = f"delete version {version.number} on the page of the model in MLflow"
    if newest is None or newest.number == version.number:
        return (
            f"{problem}, and no matching outputs exist in this checkout. Run dvc checkout in the commit of its "
            f"training and lectern reconcile, or {delete}."
        )
    return f"{problem}. {newest} has the same content and replaces it, so {delete}."
