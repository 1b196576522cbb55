"""What a stage did to MLflow runs; and a model's weights to the run that they came from."""

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException

from lectern.errors import UserError
from lectern.processed import file_digest
from lectern.provenance import ROOT, git_commit, machine
from lectern.rows import Row, Shown

WEIGHTS, TRAINING, RESTORED = "lectern.weights", "lectern.training", "lectern.restored"
LIMIT = 1000  # metrics MLflow takes at once


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


class Tracker:
    """One MLflow run, written to from rank 0."""

    def __init__(self, client: MlflowClient, run: Run):
        self.client, self.id = client, run.info.run_id
        self.logged = self.last_step()

    def last_step(self) -> int:
        """The last step that the store has: what a resumed training repeats before it is not logged again."""
        names = self.client.get_run(self.id).data.metrics
        steps = (point.step for name in names for point in self.client.get_metric_history(self.id, name))
        return max(steps, default=-1)

    def log(self, rows: list[Row], shown: list[Shown]) -> None:
        """New rows of the history, in as few calls as MLflow allows, and new texts as artifacts."""
        now = int(time.time() * 1000)
        metrics = [Metric(row.name, row.value, now, row.step) for row in rows if row.step > self.logged]
        for start in range(0, len(metrics), LIMIT):
            self.client.log_batch(self.id, metrics=metrics[start : start + LIMIT])
        for text in shown:
            self.client.log_text(self.id, text.text, f"shown/{text.name}_{text.step:07}.txt")

    def add(self, metrics: Mapping[str, float], tags: Mapping[str, Any], folder: Path | None = None) -> None:
        """Metrics outside training, tags, and the files of a folder as artifacts."""
        now = int(time.time() * 1000)
        points = [Metric(name, float(value), now, 0) for name, value in metrics.items()]
        self.client.log_batch(self.id, metrics=points, tags=[RunTag(name, str(value)) for name, value in tags.items()])
        if folder:
            self.client.log_artifacts(self.id, str(folder), folder.parent.name)


@contextmanager
def open_training(plan: Any, facts: Mapping[str, Any], config: Mapping[str, Any], name: str) -> Iterator[Tracker]:
    """The run of a planned training (`plan.Plan`), with all that it depends on written down first."""
    tags = {
        "lectern.experiment": name,
        "lectern.dataset": plan.dataset.name,
        "lectern.budget": plan.budget,
        "lectern.precision": plan.fit.get("precision", "32-true"),  # float32 where the machine has no other
        "lectern.commit": git_commit(),
        "lectern.machine": machine(),
        "dvc.stage": f"train@{name}",
    }
    data = data_input(plan.dataset, facts, file_digest(plan.processed / "facts.json"))
    with open_run(connect(), plan.model.task, name, plan.key, config, data, tags) as run:
        yield run


@contextmanager
def open_run(
    client: MlflowClient, task: str, name: str, training: str, config: Mapping[str, Any], data: Dataset, tags: dict
) -> Iterator[Tracker]:
    """The run of this training: the one a killed process left, or a new one. Ends it as it deserves."""
    experiment = experiment_id(client, task)
    run = unfinished_run(client, experiment, training) or client.create_run(
        experiment, run_name=name, tags={TRAINING: training, **{key: str(value) for key, value in tags.items()}}
    )
    client.update_run(run.info.run_id, "RUNNING")
    write_parameters(client, run, {key: str(value)[:6000] for key, value in flatten(config).items()})
    write_data(client, run, data)
    tracker = Tracker(client, run)
    try:
        yield tracker
        client.set_terminated(tracker.id, "FINISHED")
    except BaseException as error:
        with suppress(MlflowException):  # a store that is gone, or on a full disk, must not hide what went wrong
            client.set_terminated(tracker.id, "FAILED" if isinstance(error, Exception) else "KILLED")
        if isinstance(error, MlflowException):
            raise UserError(
                f"The tracking store {store_address()} stopped answering: {first_line(error)}. "
                "Run it again once it does: the training goes on from its last checkpoint."
            ) from error
        raise


def write_parameters(client: MlflowClient, run: Run, config: Mapping[str, str]) -> None:
    """What the run does not have yet. MLflow changes no parameter: a resumed training's other trainer is tagged."""
    known = run.data.params
    new = [Param(key, value) for key, value in config.items() if key not in known]
    other = [RunTag(f"resumed.{key}", value) for key, value in config.items() if known.get(key, value) != value]
    client.log_batch(run.info.run_id, params=new, tags=other)


def write_data(client: MlflowClient, run: Run, data: Dataset) -> None:
    """What the run learns from. Of two that bring it to a store at once MLflow fails the one: then it is there."""
    inputs = [DatasetInput(data, [])]
    try:
        client.log_inputs(run.info.run_id, inputs)
    except MlflowException:
        client.log_inputs(run.info.run_id, inputs)


def unfinished_run(client: MlflowClient, experiment: str, training: str) -> Run | None:
    """The newest run of this very training that did not come to its end."""
    query = f"tags.`{TRAINING}` = '{training}' and attributes.status != 'FINISHED'"
    return next(iter(client.search_runs([experiment], query, max_results=1)), None)


def find_run(client: MlflowClient, task: str, weights: str) -> Run | None:
    """The newest finished run whose weights have this sha256: how a stage that knows no run id finds it."""
    query = f"tags.`{WEIGHTS}` = '{weights}' and attributes.status = 'FINISHED'"
    return next(iter(client.search_runs([experiment_id(client, task)], query, max_results=1)), None)


def weights_digest(model: Path) -> str:
    """What a model is known by: the sha256 of its weights."""
    return file_digest(model / "weights.safetensors")


def data_input(dataset: Any, facts: Mapping[str, Any], digest: str) -> Dataset:
    """A data set as MLflow shows it beside a run."""
    source = json.dumps({"origin": dataset.origin, "path": f"data/processed/{dataset.name}"})
    return Dataset(dataset.name, digest[:32], "lectern", source, profile=json.dumps(facts["items"]))


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested keys joined by dots, as MLflow's table of parameters wants them."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat
