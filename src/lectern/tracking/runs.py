"""What a stage did to MLflow runs; and a model's weights to the run that they came from."""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException

from lectern.artifacts.digests import file_digest
from lectern.artifacts.history_file import Record, TextSample
from lectern.artifacts.paths import PROCESSED
from lectern.errors import UserError
from lectern.tracking.provenance import git_commit, machine
from lectern.tracking.store import connect, experiment_id, first_line, store_address

WEIGHTS, TRAINING, RESTORED = "lectern.weights", "lectern.training", "lectern.restored"
LIMIT = 1000  # metrics MLflow takes at once


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

    def log(self, rows: list[Record], shown: list[TextSample]) -> None:
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
def training_run(plan: Any, facts: Mapping[str, Any], config: Mapping[str, Any], name: str) -> Iterator[Tracker]:
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
    log_parameters(client, run, {key: str(value)[:6000] for key, value in flatten(config).items()})
    log_dataset(client, run, data)
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


def log_parameters(client: MlflowClient, run: Run, config: Mapping[str, str]) -> None:
    """What the run does not have yet. MLflow changes no parameter: a resumed training's other trainer is tagged."""
    known = run.data.params
    new = [Param(key, value) for key, value in config.items() if key not in known]
    other = [RunTag(f"resumed.{key}", value) for key, value in config.items() if known.get(key, value) != value]
    client.log_batch(run.info.run_id, params=new, tags=other)


def log_dataset(client: MlflowClient, run: Run, data: Dataset) -> None:
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
    source = json.dumps({"origin": dataset.origin, "path": str(PROCESSED / dataset.name)})
    return Dataset(dataset.name, digest[:32], "lectern", source, profile=json.dumps(facts["items"]))


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested keys joined by dots, as MLflow's table of parameters wants them."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat
