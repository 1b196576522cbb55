"""Record a training as an MLflow run, without making the training wait for the tracking store."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mlflow import MlflowClient

from lectern.artifacts.history_file import Record, TextSample
from lectern.config import check_value
from lectern.tracking import pending_runs
from lectern.tracking.delivery import Delivery, report
from lectern.tracking.run_description import RunDescription
from lectern.tracking.runs import WEIGHTS, find_finished_run, weights_digest
from lectern.tracking.store import connect, experiment_id, short_timeouts
from lectern.tracking.system_metrics import PREFIX, record_system_metrics
from lectern.tracking.tracker import Tracker, Update, current_milliseconds, history_update

if TYPE_CHECKING:  # importing PyTorch takes seconds
    from lectern.training.plan import Plan

STOPPED = "lectern.stopped"
Tracking = Literal["now", "later"]  # values of the config key `tracking`
PATIENCE = 30.0  # seconds for which a finished training waits for a tracking store that does not answer
PATIENCE_AFTER_ERROR = 5.0  # seconds for which a stopped training waits; short, because Slurm soon kills a stopped job


class TrainingRecord:
    """Receives the history and the result of a training. No method waits for the tracking store."""

    def __init__(self, delivery: Delivery):
        self.delivery = delivery

    def log_history(self, records: Iterable[Record], text_samples: Iterable[TextSample]) -> None:
        self.delivery.add(history_update(records, text_samples))

    def log_weights(self, result: Path) -> None:
        """Log the digest of the weights in a model folder. The digest connects the run with its model."""
        self.delivery.add(Update(tags={WEIGHTS: weights_digest(result)}))

    def log_stop(self, stopped: Mapping[str, Any] | None) -> None:
        """Log the step and the reason of an early stop as the tag `lectern.stopped`."""
        if stopped:
            text = "step {step}, epoch {epoch} of {epochs}: {reason}".format(**stopped)
            self.delivery.add(Update(tags={STOPPED: text}))


def read_tracking(config: dict[str, Any]) -> Tracking:
    """Return the value of the config key `tracking`. Raises UserError if the value is unknown."""
    tracking: Tracking = config["tracking"]
    check_value("tracking", tracking, Tracking, "conf/config.yaml")
    return tracking


def open_store(tracking: Tracking) -> MlflowClient | None:
    """Return a client of the tracking store after all pending runs were written to the store, or None for `later`.

    Raises UserError if the store does not answer.
    """
    if tracking == "later":
        return None
    client = connect()
    pending_runs.report_delivered_runs(client)
    return client


@contextmanager
def record_training(description: RunDescription, client: MlflowClient | None) -> Iterator[TrainingRecord]:
    """Open the run of a training, and yield an object that receives the results.

    At the end of the block, the run is marked as FINISHED, FAILED or KILLED. If the tracking store does not answer
    at that time, or if `client` is None, the run is saved as a pending run.
    """
    with short_timeouts():
        tracker = Tracker(client, description.open(client).info.run_id) if client else None
        updates = [description.config_update(), *pending_runs.earlier_updates(description.training)]
        delivery = Delivery(tracker.write if tracker else None, updates)
        try:
            with record_system_metrics(delivery.add, next_system_step(tracker, updates)):
                yield TrainingRecord(delivery)
        except BaseException as error:
            end_run(description, tracker, delivery, "FAILED" if isinstance(error, Exception) else "KILLED")
            raise
        end_run(description, tracker, delivery, "FINISHED")


def next_system_step(tracker: Tracker | None, updates: Iterable[Update]) -> int:
    """Return the step of the next system metrics. A resumed training continues the count of its first part."""
    logged = tracker.logged if tracker else set()
    known = logged | {(point.name, point.step) for update in updates for point in update.points}
    return 1 + max((step for name, step in known if name.startswith(PREFIX)), default=-1)


def end_run(description: RunDescription, tracker: Tracker | None, delivery: Delivery, status: str) -> None:
    """Set the status of the run. Save the updates that the tracking store does not accept in time."""
    delivery.add(Update(status=status, end_time=current_milliseconds()))
    unwritten = delivery.finish(PATIENCE if status == "FINISHED" else PATIENCE_AFTER_ERROR)
    if not unwritten:
        pending_runs.discard_pending_run(description.training)
        if tracker and tracker.page:
            report(f"the run of this training: {tracker.page}")
        return
    pending_runs.save_pending_run(pending_runs.PendingRun(description, unwritten))
    reason = "does not answer" if tracker else "is not used, because of tracking=later"
    report(
        f"the tracking store {reason}. The run of this training is kept in "
        f"{pending_runs.pending_file(description.training)}. To write the run to the tracking store, run: "
        "lectern reconcile"
    )


def is_recorded(plan: "Plan", result: Path, tracking: Tracking) -> bool:
    """Return whether a finished run of a training that produced the weights in `result` exists.

    If `tracking` is `later`, the run is searched among the pending runs, and otherwise in the tracking store.
    """
    weights, client = weights_digest(result), open_store(tracking)
    if client is None:
        path = pending_runs.pending_file(plan.key)
        return path.is_file() and pending_runs.read_pending_run(path).weights == weights
    return find_finished_run(client, experiment_id(client, plan.model.task), plan.key, weights) is not None
