"""Find registered versions by names such as `mnist@3`, and download the files of versions."""

from pathlib import Path

from mlflow import MlflowClient
from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from lectern.errors import UserError
from lectern.registry.registered_model import CHAMPION, RegisteredModel
from lectern.registry.version_manifest import MANIFEST, missing_files_error
from lectern.registry.version_record import ModelVersionRecord
from lectern.tracking.downloads import download


def open_repository(client: MlflowClient, source: str) -> ArtifactRepository:
    """Return MLflow's reader and writer for the files at the address `source` of a version."""
    return get_artifact_repository(source, tracking_uri=client.tracking_uri)


def open_version(client: MlflowClient, model: str) -> tuple[RegisteredModel, ModelVersionRecord]:
    """Return the registered model and the version for a name such as `mnist@champion` or `mnist@3`.

    A name without `@`, such as `mnist`, means the champion.
    """
    name, _, which = model.partition("@")
    registered = RegisteredModel(client, name)
    return registered, registered.get(which or CHAMPION)


def find_version(client: MlflowClient, model: str) -> ModelVersionRecord:
    """Return the version for a name such as `mnist@champion` or `mnist@3`.

    A name without `@`, such as `mnist`, means the champion.
    """
    return open_version(client, model)[1]


def has_model_files(client: MlflowClient, version: ModelVersionRecord) -> bool:
    """Return whether the files of a version exist. Somebody can delete the artifacts without the database entry."""
    repository = open_repository(client, version.source)
    names = {file.path for file in repository.list_artifacts()}
    has_manifest = not version.has_manifest or MANIFEST in names
    return has_manifest and bool(repository.list_artifacts(f"artifacts/{version.experiment}"))


def download_files(client: MlflowClient, version: ModelVersionRecord, part: str = "") -> Path:
    """Return the folder with the files of a version, or the file or subfolder `part` of this folder.

    The files are downloaded if the tracking store is remote.
    """
    uri = f"{version.source}/{part}".rstrip("/")
    try:
        return download(uri, client.tracking_uri)
    except UserError as error:
        raise missing_files_error(str(version), uri, error) from error


def download_model_folder(client: MlflowClient, version: ModelVersionRecord) -> Path:
    """Return the model folder of a version. The folder is downloaded if the tracking store is remote."""
    return download_files(client, version, f"artifacts/{version.experiment}")
