"""Find the MLflow runs of trainings, and read their tags. A model's run is found by the digest of its weights."""

from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Run, ViewType

from lectern.artifacts.digests import file_digest
from lectern.tracking.process import ProcessRecord, current_process, is_other_running_process, parse_process
from lectern.tracking.store import experiment_id

WEIGHTS, TRAINING, RESTORED = "lectern.weights", "lectern.training", "lectern.restored"
PROCESS = "lectern.process"  # tag with the process that writes the run
COMMIT = "lectern.commit"
MAX_FOUND = 1000  # maximum number of runs that a search for runs returns


def reopen_run(client: MlflowClient, run: Run) -> None:
    """Set the status of a run to RUNNING, and record that this process writes the run."""
    client.set_tag(run.info.run_id, PROCESS, current_process().to_tag())
    client.update_run(run.info.run_id, "RUNNING")


def read_process(run: Run) -> ProcessRecord | None:
    """Return the process that writes a run, or None if the run has no tag with its process."""
    return parse_process(run.data.tags.get(PROCESS, ""))


def find_unfinished_run(client: MlflowClient, experiment: str, training: str) -> Run | None:
    """Return the newest unfinished run of a training, or None.

    A run is skipped if another process on this machine is writing the run, for example a process in a different
    checkout.
    """
    found = unfinished_runs(client, experiment, training)
    return next((run for run in found if not is_written_elsewhere(run)), None)


def unfinished_runs(client: MlflowClient, experiment: str, training: str) -> list[Run]:
    """Return the unfinished runs of a training, newest first."""
    query = f"tags.`{TRAINING}` = '{training}' and attributes.status != 'FINISHED'"
    return list(client.search_runs([experiment], query, max_results=MAX_FOUND))


def is_written_elsewhere(run: Run) -> bool:
    """Return whether a different process on this machine is certainly writing a run."""
    process = read_process(run)
    return run.info.status == "RUNNING" and process is not None and is_other_running_process(process)


def find_finished_run(client: MlflowClient, experiment: str, training: str, weights: str) -> Run | None:
    """Return a finished run of a training that produced weights with the SHA-256 `weights`, or None."""
    query = f"tags.`{TRAINING}` = '{training}' and tags.`{WEIGHTS}` = '{weights}' and attributes.status = 'FINISHED'"
    return next(iter(client.search_runs([experiment], query, max_results=1)), None)


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
