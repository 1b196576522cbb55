"""What MLflow shows of a sweep: a run of its own, with the trainings' runs as its children."""

import optuna
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from optuna.trial import FrozenTrial, TrialState

from lectern.sweeps.search_space import Range
from lectern.tracking import store

SWEEP = "lectern.sweep"


def open_parent(client: MlflowClient, task: str, name: str, experiment: str) -> str:
    """The id of the sweep's run: the one that an earlier search left, or a new one."""
    where = store.experiment_id(client, task)
    found = client.search_runs([where], f"tags.`{SWEEP}` = '{name}'", max_results=1)
    tags = {SWEEP: name, "lectern.experiment": experiment}
    run = found[0] if found else client.create_run(where, run_name=f"sweep {experiment}", tags=tags)
    client.update_run(run.info.run_id, "RUNNING")
    return run.info.run_id


def close_parent(client: MlflowClient, run: str, space: dict[str, Range], study: optuna.Study, metric: str) -> None:
    """What was tried, and the best of it."""
    client.log_batch(run, params=[Param(f"space.{key}", str(one)[:6000]) for key, one in space.items()])
    best = best_of(study)
    if best:
        tags = {"best.trial": best.number, **{f"best.{key}": value for key, value in best.user_attrs["values"].items()}}
        trained = Metric(f"best_{metric}", best.value, int(best.datetime_complete.timestamp() * 1000), best.number)
        client.log_batch(run, metrics=[trained], tags=[RunTag(key, str(value)) for key, value in tags.items()])
    client.set_terminated(run, "FINISHED")


def best_of(study: optuna.Study) -> FrozenTrial | None:
    """The best of the trials that came to their end."""
    return study.best_trial if study.get_trials(deepcopy=False, states=[TrialState.COMPLETE]) else None
