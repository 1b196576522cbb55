"""Create the logged model of a version, which MLflow shows on the tab "Models" of an experiment.

A logged model contains the files of one version. Its tag with the identity of the version connects the logged model
with the version, so that a repeated or restored registration creates no second logged model.
"""

import json
import re

from mlflow import MlflowClient
from mlflow.entities import LoggedModel, LoggedModelOutput, Metric, Run
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_MODEL_VERSIONS, MLFLOW_RUN_NOTE

from lectern.artifacts.digests import file_digest
from lectern.artifacts.paths import ExperimentPaths
from lectern.registry.version_manifest import PREFIX
from lectern.registry.version_record import ModelVersionRecord
from lectern.tracking.run_description import DATASET_DIGEST_LENGTH

IDENTITY = f"{PREFIX}identity"
GROUPS = ("validation/", "test/")  # the metrics of a run that describe its final model
FORBIDDEN = re.compile(r"[/:.%\"']")  # characters that MLflow does not accept in the name of a logged model
MODEL_ID = re.compile(r"/models/(m-[0-9a-f]{32})/artifacts$")


def find_or_create_logged_model(client: MlflowClient, paths: ExperimentPaths, run: Run, identity: str) -> LoggedModel:
    """Return the logged model of a version in a run, which an interrupted registration can have created.

    Logged models of the same version in other runs are deleted, because no version refers to them any more.
    """
    found = client.search_logged_models([run.info.experiment_id], f"tags.`{IDENTITY}` = '{identity}'")
    own = [model for model in found if model.source_run_id == run.info.run_id]
    for model in found:
        if model.model_id not in {each.model_id for each in own[:1]}:
            client.delete_logged_model(model.model_id)
    return own[0] if own else create_logged_model(client, paths, run, identity)


def create_logged_model(client: MlflowClient, paths: ExperimentPaths, run: Run, identity: str) -> LoggedModel:
    return client.create_logged_model(
        run.info.experiment_id,
        FORBIDDEN.sub("_", paths.experiment),
        run.info.run_id,
        {IDENTITY: identity, MLFLOW_RUN_NOTE: run.data.tags.get(MLFLOW_RUN_NOTE, paths.experiment)},
        run.data.params,
        paths.task,
    )


def complete_logged_model(client: MlflowClient, paths: ExperimentPaths, run: Run, model: LoggedModel) -> None:
    """Connect a logged model, whose files are uploaded, with its run, its metrics and its dataset."""
    client.log_batch(run.info.run_id, metrics=final_metrics(client, paths, run, model.model_id))
    outputs = run.outputs.model_outputs if run.outputs else []
    if model.model_id not in {output.model_id for output in outputs}:
        client.log_outputs(run.info.run_id, [LoggedModelOutput(model.model_id, step=0)])
    client.finalize_logged_model(model.model_id, "READY")


def final_metrics(client: MlflowClient, paths: ExperimentPaths, run: Run, model_id: str) -> list[Metric]:
    """Return the last value of each validation and test metric of a run, for the logged model.

    The values have the times and steps that they have in the run, so that MLflow adds no second value to the run.
    """
    digest = file_digest(paths.processed / "facts.json")[:DATASET_DIGEST_LENGTH]
    names = [name for name in run.data.metrics if name.startswith(GROUPS)]
    histories = [client.get_metric_history(run.info.run_id, name) for name in names]
    last = [max(history, key=lambda point: (point.step, point.timestamp)) for history in histories]
    return [
        Metric(point.key, point.value, point.timestamp, point.step, model_id, paths.dataset, digest, run.info.run_id)
        for point in last
    ]


def read_model_id(version: ModelVersionRecord) -> str | None:
    """Return the ID of a version's logged model, or None if the version was registered without a logged model."""
    found = MODEL_ID.search(version.source)
    return found[1] if found else None


def link_version(client: MlflowClient, version: ModelVersionRecord) -> None:
    """Add a version to the tag from which MLflow's UI reads the versions of a logged model.

    An MLflow server adds the version by itself, but a client that writes to a database does not. A logged model that
    was deleted in MLflow's UI gets no tag.
    """
    model_id = read_model_id(version)
    try:
        tags = client.get_logged_model(model_id).tags if model_id else {}
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return
    linked, link = json.loads(tags.get(MLFLOW_MODEL_VERSIONS, "[]")), {"name": version.name, "version": version.number}
    if model_id and link not in linked:
        client.set_logged_model_tags(model_id, {MLFLOW_MODEL_VERSIONS: json.dumps([*linked, link])})
