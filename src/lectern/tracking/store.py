"""Connect to the MLflow tracking store."""

import os
from pathlib import Path

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from lectern.errors import UserError
from lectern.tracking.account import hide_passwords
from lectern.tracking.provenance import ROOT
from lectern.tracking.store_creation import incomplete_remedy, open_client

IMPATIENT = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}


def store_address() -> str:
    """Return MLFLOW_TRACKING_URI, or the address of `mlflow.db` in the root folder of the checkout.

    The address is absolute, because DVC may run a stage in another folder.
    """
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{ROOT / 'mlflow.db'}"


def connect() -> MlflowClient:
    """Return a client of the store after a test query, so that a failure appears before a long training.

    Raises UserError if the store does not answer.
    """
    address = store_address()
    previous = {name: os.environ.get(name) for name in IMPATIENT}
    os.environ.update(IMPATIENT)
    try:
        client = open_client(address, sqlite_file(address))
    except UserError:
        raise
    except Exception as error:  # any error of any database driver means that the store is unreachable
        remedy = incomplete_remedy(sqlite_file(address), error)
        if remedy:
            raise UserError(f"{remedy} The error was: {first_line(error)}") from error
        problem = hide_passwords(f"The tracking store {address} does not answer: {first_line(error)}.")
        raise UserError(
            f"{problem} Start it, correct MLFLOW_TRACKING_URI, or unset it to use the SQLite file of this checkout."
        ) from error
    finally:
        for name, value in previous.items():
            if value is None:
                os.environ.pop(name)
            else:
                os.environ[name] = value
    return client


def first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def experiment_id(client: MlflowClient, task: str) -> str:
    """Return the id of MLflow's experiment `lectern/<task>`; create it if it is missing.

    Raises UserError if the experiment has been deleted.
    """
    name = f"lectern/{task}"
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        try:
            return str(client.create_experiment(name, artifact_location(client.tracking_uri, task)))
        except MlflowException:  # another process created it at the same time
            experiment = client.get_experiment_by_name(name)
    if experiment is None or experiment.lifecycle_stage != "active":
        raise UserError(f"MLflow's experiment {name!r} has been deleted. Restore it: mlflow experiments restore -x ID")
    return str(experiment.experiment_id)


def artifact_location(address: str, task: str) -> str | None:
    """Return a folder next to the SQLite file, or in the checkout for another database. A server chooses its own."""
    if address.startswith("http"):
        return None
    database = sqlite_file(address)
    return ((database.parent if database else ROOT) / "mlartifacts" / task).as_uri()


def sqlite_file(address: str) -> Path | None:
    """Return the absolute path of a SQLite store, or None for another store."""
    prefix = "sqlite:///"
    return Path(address.removeprefix(prefix)).absolute() if address.startswith(prefix) else None
