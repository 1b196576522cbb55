"""Record trainings as MLflow runs, and find the run of a model by the digest of its weights."""

import json
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, Metric, Param, Run, RunTag, ViewType
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from lectern.artifacts.digests import file_digest
from lectern.artifacts.history_file import Record, TextSample
from lectern.artifacts.paths import PROCESSED
from lectern.config import Dataset as DatasetConfig
from lectern.tracking.artifact_folder import prepare_artifacts
from lectern.tracking.output_files import copy_output
from lectern.tracking.process import ProcessRecord, current_process, is_other_running_process, parse_process
from lectern.tracking.provenance import git_commit, machine
from lectern.tracking.run_end import terminate_run
from lectern.tracking.store import connect, experiment_id

if TYPE_CHECKING:  # importing PyTorch takes seconds, and finding a run does not need PyTorch
    from lectern.training.plan import Plan

WEIGHTS, TRAINING, RESTORED = "lectern.weights", "lectern.training", "lectern.restored"
PROCESS = "lectern.process"  # tag with the process that writes the run
COMMIT = "lectern.commit"
BATCH_SIZE = 1000  # maximum number of metric values per call of MLflow
MAX_FOUND = 1000  # maximum number of runs that a search for runs returns
MAX_PARAMETER = 6000  # maximum number of characters of an MLflow parameter


class Tracker:
    """A writer for one MLflow run. Only rank 0 of a training has a Tracker."""

    def __init__(self, client: MlflowClient, run: Run):
        self.client, self.id = client, run.info.run_id
        self.last_step = self.read_last_step()

    def read_last_step(self) -> int:
        """Return the last training step that the run has logged.

        A resumed training does not log earlier steps again.
        """
        names = self.client.get_run(self.id).data.metrics
        steps = (point.step for name in names for point in self.client.get_metric_history(self.id, name))
        return max(steps, default=-1)

    def log_history(self, records: list[Record], text_samples: list[TextSample]) -> None:
        """Log the records after the last logged training step as metrics, and the text samples as artifacts."""
        now = int(time.time() * 1000)
        metrics = [
            Metric(record.name, record.value, now, record.step) for record in records if record.step > self.last_step
        ]
        for start in range(0, len(metrics), BATCH_SIZE):
            self.client.log_batch(self.id, metrics=metrics[start : start + BATCH_SIZE])
        for sample in text_samples:
            self.client.log_text(self.id, sample.text, f"text_samples/{sample.name}_{sample.step:07}.txt")

    def log_results(self, metrics: Mapping[str, float], tags: Mapping[str, Any], folder: Path | None = None) -> None:
        """Log tags, metrics that have no training step, and the files of a folder as artifacts."""
        now = int(time.time() * 1000)
        points = [Metric(name, float(value), now, 0) for name, value in metrics.items()]
        self.client.log_batch(self.id, metrics=points, tags=[RunTag(name, str(value)) for name, value in tags.items()])
        if folder:
            self.log_folder(folder, folder.parent.name)

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


@contextmanager
def training_run(plan: "Plan", facts: Mapping[str, Any], config: Mapping[str, Any], name: str) -> Iterator[Tracker]:
    """Open the MLflow run of a training, and log the config, the dataset, the commit and the machine."""
    tags = {
        "lectern.experiment": name,
        "lectern.dataset": plan.dataset.name,
        "lectern.budget": plan.budget,
        "lectern.precision": plan.fit.get("precision", "32-true"),  # float32 on a CPU without bfloat16
        COMMIT: git_commit(),
        "lectern.machine": machine(),
        "dvc.stage": f"train@{name}",
    }
    data = dataset_input(plan.dataset, facts, file_digest(plan.processed / "facts.json"))
    with open_run(connect(), plan.model.task, name, plan.key, config, data, tags) as run:
        yield run


@contextmanager
def open_run(
    client: MlflowClient,
    task: str,
    name: str,
    training: str,
    config: Mapping[str, Any],
    data: Dataset,
    tags: Mapping[str, Any],
) -> Iterator[Tracker]:
    """Continue the unfinished run of a training, or create a run, and yield a Tracker.

    At the end of the block, the run is marked as FINISHED, FAILED or KILLED.
    """
    experiment = experiment_id(client, task)
    prepare_artifacts(client, experiment)
    tags = {TRAINING: training, PROCESS: current_process().to_tag(), **{key: str(value) for key, value in tags.items()}}
    run = find_unfinished_run(client, experiment, training) or client.create_run(experiment, run_name=name, tags=tags)
    reopen_run(client, run)
    log_parameters(client, run, format_parameters(config))
    log_dataset(client, run, data)
    remedy = "When the tracking store works, run the training again. The training resumes from its last checkpoint."
    with terminate_run(client, run.info.run_id, remedy):
        yield Tracker(client, run)


def reopen_run(client: MlflowClient, run: Run) -> None:
    """Set the status of a run to RUNNING, and record that this process writes the run."""
    client.set_tag(run.info.run_id, PROCESS, current_process().to_tag())
    client.update_run(run.info.run_id, "RUNNING")


def read_process(run: Run) -> ProcessRecord | None:
    """Return the process that writes a run, or None if the run has no tag with its process."""
    return parse_process(run.data.tags.get(PROCESS, ""))


def log_parameters(client: MlflowClient, run: Run, config: Mapping[str, str]) -> None:
    """Log the parameters of a config that the run does not have yet.

    MLflow cannot change a logged parameter. If a resumed training has a different value, the new value is logged as the
    tag `resumed.<key>`.
    """
    logged = run.data.params
    new = [Param(key, value) for key, value in config.items() if key not in logged]
    changed = [RunTag(f"resumed.{key}", value) for key, value in config.items() if logged.get(key, value) != value]
    client.log_batch(run.info.run_id, params=new, tags=changed)


def log_dataset(client: MlflowClient, run: Run, data: Dataset) -> None:
    """Log the dataset of a run.

    The call is retried once, because MLflow fails if two processes insert the same dataset at the same time.
    """
    inputs = [DatasetInput(data, [])]
    try:
        client.log_inputs(run.info.run_id, inputs)
    except MlflowException:
        client.log_inputs(run.info.run_id, inputs)


def find_unfinished_run(client: MlflowClient, experiment: str, training: str) -> Run | None:
    """Return the newest unfinished run of a training, or None.

    A run is skipped if another process on this machine is writing the run, for example a process in a different
    checkout.
    """
    query = f"tags.`{TRAINING}` = '{training}' and attributes.status != 'FINISHED'"
    found = client.search_runs([experiment], query, max_results=MAX_FOUND)
    return next((run for run in found if not is_written_elsewhere(run)), None)


def is_written_elsewhere(run: Run) -> bool:
    """Return whether a different process on this machine is certainly writing a run."""
    process = read_process(run)
    return run.info.status == "RUNNING" and process is not None and is_other_running_process(process)


def is_recorded(plan: "Plan", result: Path) -> bool:
    """Return whether the tracking store has a finished run of a training that produced the weights in `result`."""
    client = connect()
    query = f"tags.`{TRAINING}` = '{plan.key}' and tags.`{WEIGHTS}` = '{weights_digest(result)}'"
    query += " and attributes.status = 'FINISHED'"
    return bool(client.search_runs([experiment_id(client, plan.model.task)], query, max_results=1))


def find_run(client: MlflowClient, task: str, weights: str, view: int = ViewType.ACTIVE_ONLY) -> Run | None:
    """Return the newest finished run whose weights have the SHA-256 `weights`.

    A restored run is returned only if there is no original run.
    """
    query = f"tags.`{WEIGHTS}` = '{weights}' and attributes.status = 'FINISHED'"
    found = client.search_runs([experiment_id(client, task)], query, run_view_type=view, max_results=MAX_FOUND)
    return min(
        found, key=is_restored, default=None
    )  # `found` starts with the newest run; `min` returns the first minimum


def is_restored(run: Run) -> bool:
    """Return whether a run was restored, which means that it was created from the outputs of a training."""
    return RESTORED in run.data.tags


def is_deleted(run: Run) -> bool:
    """Return whether a run is marked as deleted. MLflow keeps deleted runs until a user runs `mlflow gc`."""
    return bool(run.info.lifecycle_stage != "active")


def weights_digest(model: Path) -> str:
    """Return the SHA-256 of the weights in a model folder. The SHA-256 identifies the model."""
    return file_digest(model / "weights.safetensors")


def dataset_input(dataset: DatasetConfig, facts: Mapping[str, Any], digest: str) -> Dataset:
    """Return the MLflow dataset that is logged with a run. MLflow accepts digests of at most 36 characters."""
    source = json.dumps({"origin": dataset.origin, "path": str(PROCESSED / dataset.name)})
    return Dataset(dataset.name, digest[:32], "lectern", source, profile=json.dumps(facts["items"]))


def format_parameters(config: Mapping[str, Any]) -> dict[str, str]:
    """Return a config as a dict of MLflow parameters, with dotted keys and texts as values."""
    return {key: str(value)[:MAX_PARAMETER] for key, value in flatten(config).items()}


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return a flat dict in which dots join the nested keys of a config, such as `module.learning_rate`."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat
