"""TODO: lectern.tracking.store."""

import os
from pathlib import Path

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from lectern.errors import UserError
from lectern.tracking.provenance import ROOT


def store_address() -> str:
    """MLFLOW_TRACKING_URI, or a SQLite file at the root of the checkout: absolute, as DVC may run elsewhere."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{ROOT / 'mlflow.db'}"


def connect() -> MlflowClient:
    """A client of the store, once it is sure that the store answers.

    Raises UserError where it does not: better before an hour of training than after it.
    """
    address = store_address()
    quiet = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}
    before = {name: os.environ.get(name) for name in quiet}
    os.environ.update(quiet)
    try:
        client = MlflowClient(address, address)
        client.search_experiments(max_results=1)
    except Exception as error:  # whatever the store's driver raises: it is not to be had
        raise UserError(
            f"The tracking store {address} does not answer: {first_line(error)}. Start it, correct "
            "MLFLOW_TRACKING_URI, or unset it to use the SQLite file of this checkout."
        ) from error
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
    return client


def first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def experiment_id(client: MlflowClient, task: str) -> str:
    """MLflow's experiment `lectern/<task>`, made where it is missing (and again asked for: another may just have)."""
    name = f"lectern/{task}"
    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return client.create_experiment(name, artifact_location(client.tracking_uri, task))
        except MlflowException:
            found = client.get_experiment_by_name(name)
    if found is None or found.lifecycle_stage != "active":
        raise UserError(f"MLflow's experiment {name!r} has been deleted. Restore it: mlflow experiments restore -x ID")
    return found.experiment_id


def artifact_location(address: str, task: str) -> str | None:
    """Beside a SQLite file, in this checkout for another database; a server decides for itself."""
    if address.startswith("http"):
        return None
    beside = sqlite_file(address)
    return ((beside.parent if beside else ROOT) / "mlartifacts" / task).as_uri()


def sqlite_file(address: str) -> Path | None:
    """The file of a SQLite store, absolute; None for any other store."""
    start = "sqlite:///"
    return Path(address.removeprefix(start)).absolute() if address.startswith(start) else None
