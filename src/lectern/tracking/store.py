"""Connect to the MLflow tracking store."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from lectern.artifacts.text_lines import split_lines
from lectern.current_checkout import current_folder, find_source
from lectern.errors import UserError
from lectern.tracking.moved_store import ARTIFACTS, PREFIX
from lectern.tracking.provenance import ROOT
from lectern.tracking.sqlite_address import sqlite_address, sqlite_file
from lectern.tracking.store_creation import incomplete_remedy, open_client
from lectern.tracking.ui_settings import ui_tags

SHORT_TIMEOUTS = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}


def store_address() -> str:
    """Return MLFLOW_TRACKING_URI, or the address of `mlflow.db` in the root folder of the checkout.

    The address is absolute, because DVC may run a stage in a folder that is not the root folder.
    """
    return os.environ.get("MLFLOW_TRACKING_URI") or sqlite_address(present_checkout() / "mlflow.db")


def present_checkout() -> Path:
    """Return the checkout that contains the current folder, or the checkout of this package if there is none.

    `dvc exp run --queue` and `--temp` run the stages in a temporary checkout, which DVC deletes. The store belongs to
    the checkout in which the user started DVC.
    """
    folder = current_folder()
    root = Path(os.environ.get("DVC_ROOT", "")).absolute()
    if folder and (root / ".dvc" / "tmp") in folder.parents:
        folder = root
    source = find_source(folder)
    return source.parent if source else ROOT


def connect() -> MlflowClient:
    """Return a client of the tracking store after a test query.

    With the query, an unreachable store causes an error before a long training. Raises UserError if the store does not
    answer.
    """
    address = store_address()
    try:
        with short_timeouts():
            return open_client(address, sqlite_file(address))
    except UserError:
        raise
    except Exception as error:  # each database driver raises different errors for an unreachable store
        remedy = incomplete_remedy(sqlite_file(address), error)
        if remedy:
            raise UserError(f"{remedy} The error was: {first_line(error)}") from error
        raise UserError(
            f"The tracking store {address} does not answer: {first_line(error)}. Start the tracking store, correct "
            "MLFLOW_TRACKING_URI, or unset MLFLOW_TRACKING_URI to use the SQLite file of this checkout."
        ) from error


@contextmanager
def short_timeouts() -> Iterator[None]:
    """Let MLflow's requests fail after seconds instead of minutes until the block ends."""
    previous = {name: os.environ.get(name) for name in SHORT_TIMEOUTS}
    os.environ.update(SHORT_TIMEOUTS)
    try:
        yield
    finally:
        for name, value in previous.items():
            if value is None:
                os.environ.pop(name)
            else:
                os.environ[name] = value


def first_line(error: Exception) -> str:
    return next(iter(split_lines(str(error))), type(error).__name__)


def experiment_id(client: MlflowClient, task: str) -> str:
    """Return the ID of MLflow's experiment `lectern/<task>`. Create the experiment if it is missing.

    Raises UserError if the experiment has been deleted.
    """
    name = f"{PREFIX}{task}"
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        try:
            return str(client.create_experiment(name, artifact_location(client.tracking_uri, task), ui_tags(task)))
        except MlflowException:  # another process may have created the experiment at the same time
            experiment = client.get_experiment_by_name(name)
    if experiment is None or experiment.lifecycle_stage != "active":
        raise UserError(
            f"MLflow's experiment {name!r} has been deleted. Run `mlflow experiments restore -x ID` to restore it."
        )
    return str(experiment.experiment_id)


def artifact_location(address: str, task: str) -> str | None:
    """Return the address of the folder for a task's artifacts, or None if a tracking server chooses the folder."""
    root = artifact_root(address)
    return None if root is None else (root / task).as_uri()


def artifact_root(address: str) -> Path | None:
    """Return the folder of all artifacts, or None for a tracking server.

    The folder is next to a SQLite file. For any other database, the folder is in the checkout.
    """
    if address.startswith("http"):
        return None
    database = sqlite_file(address)
    return (database.parent if database else present_checkout()) / ARTIFACTS
