"""Find MLflow runs that are still RUNNING although their process has ended, and mark or delete these runs.

A killed process cannot change the status of its run, so a later process changes the status. Runs of running processes,
of other machines and of older versions of Lectern are never changed.
"""

from mlflow import MlflowClient
from mlflow.entities import Run

from lectern.tracking.process import ProcessRecord, has_ended
from lectern.tracking.runs import MAX_FOUND, TRAINING, is_restored, read_process
from lectern.tracking.store import experiment_id

EXPERIMENTS = "name LIKE 'lectern/%'"
RUNNING = "attributes.status = 'RUNNING'"


def settle_ended_runs(client: MlflowClient) -> list[str]:
    """Mark the runs of ended processes as KILLED, or delete a run that its ended process has restored only in part.

    Return one message for each changed run. A training that starts again continues its killed run.
    """
    experiments = [experiment.experiment_id for experiment in client.search_experiments(filter_string=EXPERIMENTS)]
    return [close_ended_run(client, run, process) for run, process in find_ended_runs(client, experiments, RUNNING)]


def delete_partly_restored_runs(client: MlflowClient, task: str, weights: str) -> None:
    """Delete the runs of a model that ended processes have restored only in part. `weights` identifies the model."""
    query = f"{RUNNING} and tags.`{TRAINING}` = '{restoration_key(weights)}'"
    for run, process in find_ended_runs(client, [experiment_id(client, task)], query):
        close_ended_run(client, run, process)


def find_ended_runs(client: MlflowClient, experiments: list[str], query: str) -> list[tuple[Run, ProcessRecord]]:
    """Return the runs that match a query and whose process has ended, as pairs of a run and its process."""
    found = client.search_runs(experiments, query, max_results=MAX_FOUND) if experiments else []
    processes = [(run, read_process(run)) for run in found]
    return [(run, process) for run, process in processes if process and has_ended(process)]


def close_ended_run(client: MlflowClient, run: Run, process: ProcessRecord) -> str:
    """Delete a partly restored run, or mark the run of a killed training as KILLED.

    Return a message about the change.
    """
    run_id, reason = run.info.run_id, f"process {process.pid} on {process.host} has ended"
    if is_restored(run):
        client.delete_run(run_id)
        return f"{run.info.run_name}: deleted run {run_id}, which was restored only in part, because {reason}"
    client.set_terminated(run_id, "KILLED")
    return f"{run.info.run_name}: run {run_id} is marked as KILLED, because {reason}"


def restoration_key(weights: str) -> str:
    """Return the value of the tag `lectern.training` for restored runs, because they do not have a checkpoint key."""
    return f"restored-{weights}"
