"""Check and create the artifact folder before a command writes artifacts."""

import os

from mlflow import MlflowClient

from lectern.errors import UserError
from lectern.tracking.moved_store import local_path
from lectern.tracking.store import artifact_root


def prepare_artifacts(client: MlflowClient, experiment: str) -> None:
    """Create the artifact folder of an MLflow experiment if the tracking store keeps artifacts on this machine.

    A missing folder outside of the tracking store's folder is not created, because it belongs to a different checkout
    or machine. Raises UserError if artifacts cannot be written to the folder.
    """
    location = client.get_experiment(experiment).artifact_location
    folder = local_path(location)
    if folder is None:
        return
    root = artifact_root(client.tracking_uri)
    if not folder.is_dir() and not (root and folder.resolve().is_relative_to(root.resolve())):
        raise UserError(
            f"The tracking store keeps artifacts in {folder}, which does not exist on this machine. "
            "Mount or create the folder at this path, or use a tracking server that stores the artifacts; "
            "see docs/server.md."
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError("Permission denied")
    except OSError as error:
        raise UserError(
            f"The artifacts cannot be written to {folder}: {error}. "
            "Make the folder writable. If a file has the name of the folder, delete the file."
        ) from error
