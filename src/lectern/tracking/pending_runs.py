"""Keep the runs that could not be written to the tracking store as files, and write them to the store later.

A run is kept if the tracking store stopped answering during a training, or if the training ran with `tracking=later`.
The file of a run is deleted after the run has been written.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from lectern.artifacts.paths import PENDING_RUNS
from lectern.atomic import write_json
from lectern.errors import UserError, print_message
from lectern.tracking.run_description import RunDescription
from lectern.tracking.runs import WEIGHTS, find_finished_run, is_written_elsewhere, unfinished_runs
from lectern.tracking.store import experiment_id, first_line
from lectern.tracking.tracker import Point, Tracker, Update

LOCK = ".lock"


@dataclass(frozen=True)
class PendingRun:
    """A run with the updates that the tracking store has not confirmed."""

    description: RunDescription
    updates: list[Update]

    @property
    def weights(self) -> str | None:
        """The SHA-256 of the trained weights, or None if the training did not end normally."""
        return next((update.tags[WEIGHTS] for update in self.updates if WEIGHTS in update.tags), None)


def lock_pending_runs() -> FileLock:
    """Return a lock that only one process at a time can hold."""
    return FileLock(PENDING_RUNS / LOCK)


def pending_file(training: str) -> Path:
    return PENDING_RUNS / f"{training}.json"


def save_pending_run(pending: PendingRun) -> None:
    """Write the file of a run. The name of the file is the checkpoint key of the training."""
    PENDING_RUNS.mkdir(parents=True, exist_ok=True)
    with lock_pending_runs():
        write_json(pending_file(pending.description.training), asdict(pending))


def read_pending_run(path: Path) -> PendingRun:
    """Read the file of a run. Raises UserError if the file is damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        updates = [read_update(update) for update in content["updates"]]
        return PendingRun(RunDescription(**content["description"]), updates)
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(
            f"{path} is damaged: {error}. It contains a run that is not in the tracking store yet. Delete the file; "
            "lectern reconcile then restores the run from the outputs of the training, without its machine."
        ) from error


def read_update(content: dict[str, Any]) -> Update:
    return Update(**{**content, "points": [Point(*point) for point in content["points"]]})


def earlier_updates(training: str) -> list[Update]:
    """Return the updates that an earlier part of a training could not write, without its final status."""
    path = pending_file(training)
    if not path.is_file():
        return []
    return [Update(update.points, update.texts, update.tags) for update in read_pending_run(path).updates]


def discard_pending_run(training: str) -> None:
    """Delete the file of a run, and the folder of the files if it contains no other run."""
    pending_file(training).unlink(missing_ok=True)
    if PENDING_RUNS.is_dir() and not list(PENDING_RUNS.glob("*.json")):
        (PENDING_RUNS / LOCK).unlink(missing_ok=True)
        with suppress(OSError):  # another process has created a file at the same time
            PENDING_RUNS.rmdir()


def deliver_pending_runs(client: MlflowClient) -> list[str]:
    """Write all pending runs to the tracking store, and delete their files. Return a message for each run.

    If one run cannot be written, the other runs are still written.
    """
    return [message for path in sorted(PENDING_RUNS.glob("*.json")) for message in deliver_file(client, path)]


def deliver_file(client: MlflowClient, path: Path) -> Iterator[str]:
    with lock_pending_runs():
        if not path.is_file():  # another process has already written the run to the tracking store
            return
        try:
            pending = read_pending_run(path)
            run_id = deliver(client, pending)
        except UserError as error:
            yield str(error)
        except (MlflowException, OSError) as error:  # requests' errors are subclasses of OSError
            yield f"{path}: the tracking store did not accept this run: {first_line(error)}. The file is kept."
        else:
            if run_id:
                yield f"{pending.description.name}: run {run_id}, which was not in the tracking store"
                discard_pending_run(path.stem)


def deliver(client: MlflowClient, pending: PendingRun) -> str | None:
    """Write a pending run to the tracking store, and return the ID of the run.

    Return None if another process is writing the run, because that process also has the updates.
    """
    description = pending.description
    experiment = experiment_id(client, description.task)
    if pending.weights and (found := find_finished_run(client, experiment, description.training, pending.weights)):
        return str(found.info.run_id)
    if any(map(is_written_elsewhere, unfinished_runs(client, experiment, description.training))):
        return None
    run = description.open(client)
    write_updates(Tracker(client, run.info.run_id), pending.updates)
    return str(run.info.run_id)


def write_updates(tracker: Tracker, updates: Sequence[Update]) -> None:
    for update in updates:
        tracker.write(update)


def report_delivered_runs(client: MlflowClient) -> None:
    """Write all pending runs to the tracking store, and print a message for each run."""
    for message in deliver_pending_runs(client):
        print_message(message)
