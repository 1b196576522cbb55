"""Check the folder of the artifacts before a command writes to it."""

import os

from mlflow import MlflowClient

from lectern.errors import UserError
from lectern.tracking.moved_store import local_path
from lectern.tracking.store import artifact_root


def prepare_artifacts(client: MlflowClient, experiment: str) -> None:
    """Create the folder of an experiment's artifacts if the store keeps them on this machine.

    A folder outside of the store's own folder is not created, because it belongs to another checkout or machine. Raises
    UserError if the folder cannot be used.
    """
    location = client.get_experiment(experiment).artifact_location
    folder = local_path(location)
    if folder is None:
        return
    root = artifact_root(client.tracking_uri)
    if not folder.is_dir() and not (root and folder.resolve().is_relative_to(root.resolve())):
        raise UserError(
            f"The store keeps artifacts in {folder}, which does not exist on this machine. Mount or create the folder "
            "at this path, or use a tracking server that stores the artifacts; see docs/server.md."
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError("Permission denied")
    except OSError as error:
        raise UserError(
            f"The artifacts cannot be written to {folder}: {error}. Make this folder writable, or delete the file "
            "that has its name."
        ) from error
