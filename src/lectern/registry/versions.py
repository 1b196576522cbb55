"""Find registered versions by names such as `mnist@3`, and download the files of versions."""

from pathlib import Path

from mlflow import MlflowClient

from lectern.artifacts.digests import content_digest
from lectern.errors import UserError
from lectern.registry.registered_model import CHAMPION, RegisteredModel
from lectern.registry.version_record import ModelVersionRecord, VersionIdentity
from lectern.tracking.downloads import download


def files_folder(identity: VersionIdentity) -> str:
    """Return the name of the folder that contains the files of a version.

    The folder is an artifact of the version's run. The name contains a digest of the version's identity, because
    several versions with the same weights share one run.
    """
    return f"pyfunc-{content_digest(identity)[:12]}"


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
    return bool(
        client.list_artifacts(version.run_id, f"{files_folder(version.identity)}/artifacts/{version.experiment}")
    )


def download_files(client: MlflowClient, version: ModelVersionRecord, part: str = "") -> Path:
    """Return the folder with the files of a version, or the file or subfolder `part` of this folder.

    The files are downloaded if the tracking store is remote.
    """
    uri = f"{version.source}/{part}".rstrip("/")
    try:
        return download(uri, client.tracking_uri)
    except UserError as error:
        raise UserError(
            f"{version}: the files of this version are missing from {uri} ({error}). "
            "Restore the files with `lectern reconcile`, or delete the version."
        ) from error


def download_model_folder(client: MlflowClient, version: ModelVersionRecord) -> Path:
    """Return the model folder of a version. The folder is downloaded if the tracking store is remote."""
    return download_files(client, version, f"artifacts/{version.experiment}")
