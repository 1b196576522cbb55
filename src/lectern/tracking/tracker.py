"""Write metrics, texts, tags and files to one MLflow run."""

import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from mlflow import MlflowClient
from mlflow.entities import Metric, Run, RunTag
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from lectern.artifacts.history_file import Record, TextSample
from lectern.tracking.artifact_folder import prepare_artifacts
from lectern.tracking.output_files import copy_output
from lectern.tracking.ui_settings import run_page

BATCH_SIZE = 1000  # maximum number of metric values per call of MLflow
GROUPS = ("train", "validation")  # MLflow's UI groups metrics by the text before a slash


class Point(NamedTuple):
    """A value of a metric in MLflow, with its time in milliseconds."""

    name: str
    value: float
    timestamp: int
    step: int


@dataclass(frozen=True)
class Update:
    """Values that are written to a run together. The texts are artifacts, and the status ends the run."""

    points: list[Point] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    status: str | None = None
    end_time: int | None = None  # in milliseconds


class Tracker:
    """A writer for one MLflow run. Only rank 0 of a training has a Tracker."""

    def __init__(self, client: MlflowClient, run_id: str):
        self.client, self.id = client, run_id
        run, server = client.get_run(run_id), client.tracking_uri
        self.logged = self.read_logged(run)
        self.page = run_page(server, run) if server.startswith("http") else None  # a database has no pages

    def read_logged(self, run: Run) -> set[tuple[str, int]]:
        """Return the name and the training step of each metric value in the run. These values are not logged again."""
        names = run.data.metrics
        return {(name, point.step) for name in names for point in self.client.get_metric_history(self.id, name)}

    def write(self, update: Update) -> None:
        """Write an update to the run.

        After an error, the same update can be written again, because equal values are stored once.
        """
        self.log_points([point for point in update.points if (point.name, point.step) not in self.logged])
        for path, text in update.texts.items():
            self.client.log_text(self.id, text, path)
        if update.tags:
            self.client.log_batch(self.id, tags=[RunTag(name, value) for name, value in update.tags.items()])
        if update.status:
            self.client.set_terminated(self.id, update.status, update.end_time)

    def log_points(self, points: list[Point]) -> None:
        for start in range(0, len(points), BATCH_SIZE):
            batch = points[start : start + BATCH_SIZE]
            self.client.log_batch(self.id, metrics=[Metric(*point) for point in batch])
            self.logged |= {(point.name, point.step) for point in batch}

    def log_results(self, metrics: Mapping[str, float], tags: Mapping[str, Any], folder: Path | None = None) -> None:
        """Log metrics that have no training step, the files of a folder as artifacts, and at last the tags."""
        now = current_milliseconds()
        points = [Metric(name, float(value), now, 0) for name, value in metrics.items()]
        self.client.log_batch(self.id, metrics=points)
        if folder:
            self.log_folder(folder, folder.parent.name)
        self.client.log_batch(self.id, tags=[RunTag(name, str(value)) for name, value in tags.items()])

    def log_folder(self, folder: Path, name: str) -> None:
        """Log the files of a folder as artifacts. If the disk is full, delete the files that were already logged."""
        prepare_artifacts(self.client, self.client.get_run(self.id).info.experiment_id)
        try:
            with tempfile.TemporaryDirectory() as temporary:
                copy = copy_output(folder, Path(temporary) / name)
                self.client.log_artifacts(self.id, str(copy), name)
        except OSError:
            repository: Any = get_artifact_repository(self.client.get_run(self.id).info.artifact_uri)
            repository.delete_artifacts(name)
            raise


def history_update(records: Iterable[Record], text_samples: Iterable[TextSample]) -> Update:
    """Return the update that logs a part of a training's history."""
    now = current_milliseconds()
    points = [Point(metric_name(record.name), record.value, now, record.step) for record in records]
    texts = {f"text_samples/{sample.name}_{sample.step:07}.txt": sample.text for sample in text_samples}
    return Update(points, texts)


def metric_name(name: str) -> str:
    """Return the name of a training's metric in MLflow, such as `validation/loss` for `validation_loss`."""
    group, _, rest = name.partition("_")
    return f"{group}/{rest}" if group in GROUPS and rest else name


def current_milliseconds() -> int:
    return int(time.time() * 1000)
