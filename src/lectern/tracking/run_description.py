"""Describe a training, so that its MLflow run can be created at the start of the training or later."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Param, Run, RunTag
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import (
    MLFLOW_DATASET_CONTEXT,
    MLFLOW_GIT_COMMIT,
    MLFLOW_RUN_NOTE,
    MLFLOW_SOURCE_NAME,
    MLFLOW_SOURCE_TYPE,
    MLFLOW_USER,
)

from lectern.artifacts.digests import file_digest
from lectern.artifacts.model_metadata import INIT_FROM
from lectern.artifacts.paths import PROCESSED
from lectern.artifacts.pipeline_variables import train_stage
from lectern.config import Dataset as DatasetConfig
from lectern.tracking.account import system_user
from lectern.tracking.artifact_folder import prepare_artifacts
from lectern.tracking.parameters import CONFIG_FILE, format_config, format_parameters
from lectern.tracking.process import current_process
from lectern.tracking.provenance import git_commit, machine
from lectern.tracking.runs import COMMIT, PROCESS, TRAINING, find_unfinished_run, reopen_run
from lectern.tracking.store import experiment_id
from lectern.tracking.tracker import Update, current_milliseconds

if TYPE_CHECKING:  # importing PyTorch takes seconds, and delivering a run does not need PyTorch
    from lectern.training.plan import Plan

DATASET_DIGEST_LENGTH = 32  # MLflow accepts digests of at most 36 characters


@dataclass(frozen=True)
class RunDescription:
    """What the MLflow run of a training contains in addition to the results. All values can be written as JSON."""

    task: str
    name: str  # name of the experiment in dvc.yaml
    training: str  # checkpoint key of the training
    parameters: dict[str, str]
    config: str  # the complete config as YAML
    tags: dict[str, str]
    dataset: dict[str, str]  # arguments of mlflow.entities.Dataset
    start_time: int  # in milliseconds

    def open(self, client: MlflowClient) -> Run:
        """Continue the unfinished run of this training, or create a run. Log the parameters and the dataset."""
        experiment = experiment_id(client, self.task)
        prepare_artifacts(client, experiment)
        tags = {TRAINING: self.training, PROCESS: current_process().to_tag(), **self.tags}
        run = find_unfinished_run(client, experiment, self.training)
        run = run or client.create_run(experiment, self.start_time, tags, self.name)
        reopen_run(client, run)
        log_parameters(client, run, self.parameters)
        log_dataset(client, run, Dataset(**self.dataset))
        return run

    def config_update(self) -> Update:
        """Return the update that logs the complete config as an artifact."""
        return Update(texts={CONFIG_FILE: self.config})


def describe_training(plan: "Plan", facts: Mapping[str, Any], config: Mapping[str, Any], name: str) -> RunDescription:
    """Describe a training that this process now starts."""
    commit = git_commit()
    tags = {
        "lectern.experiment": name,
        "lectern.dataset": plan.dataset.name,
        "lectern.budget": plan.budget,
        "lectern.precision": plan.fit.get("precision", "32-true"),  # float32 on a CPU without bfloat16
        COMMIT: commit,
        "lectern.machine": machine(),
        "dvc.stage": train_stage(name),
        **warm_start_tags(plan.metadata),
        MLFLOW_RUN_NOTE: f"{plan.model.name} on {plan.dataset.name}, budget {plan.budget}, seed {plan.seed}",
        MLFLOW_SOURCE_NAME: "pipelines/train.py",
        MLFLOW_SOURCE_TYPE: "LOCAL",
        MLFLOW_GIT_COMMIT: commit.removesuffix("-dirty"),
        MLFLOW_USER: system_user(),
    }
    return RunDescription(
        task=plan.model.task,
        name=name,
        training=plan.key,
        parameters=format_parameters(config),
        config=format_config(config),
        tags=tags,
        dataset=describe_dataset(plan.dataset, facts, file_digest(plan.processed / "facts.json")),
        start_time=current_milliseconds(),
    )


def warm_start_tags(metadata: Mapping[str, Any]) -> dict[str, str]:
    """Return the tags that name the model from whose weights a training started. Without a model, there are no tags."""
    record = metadata.get(INIT_FROM)
    if not record:
        return {}
    tags = {"lectern.init_from": record["experiment"], "lectern.init_from.weights": record["weights"]}
    parts = ", ".join(record.get("parts", ()))
    return {**tags, "lectern.init_from.parts": parts} if parts else tags


def describe_dataset(dataset: DatasetConfig, facts: Mapping[str, Any], digest: str) -> dict[str, str]:
    """Return the arguments of `mlflow.entities.Dataset` for a dataset.

    `mlflow.data.get_source` returns the folder of the dataset, relative to the checkout.
    """
    return {
        "name": dataset.name,
        "digest": digest[:DATASET_DIGEST_LENGTH],
        "source_type": "local",
        "source": json.dumps({"uri": str(PROCESSED / dataset.name)}),
        "profile": json.dumps(facts["items"]),
    }


def log_parameters(client: MlflowClient, run: Run, parameters: Mapping[str, str]) -> None:
    """Log the parameters that the run does not have yet.

    MLflow cannot change a logged parameter. If a resumed training has a different value, the new value is logged as the
    tag `resumed.<key>`.
    """
    logged = run.data.params
    new = [Param(key, value) for key, value in parameters.items() if key not in logged]
    changed = [RunTag(f"resumed.{key}", value) for key, value in parameters.items() if logged.get(key, value) != value]
    client.log_batch(run.info.run_id, params=new, tags=changed)


def log_dataset(client: MlflowClient, run: Run, data: Dataset) -> None:
    """Log the dataset of a run.

    The call is retried once, because MLflow fails if two processes insert the same dataset at the same time.
    """
    inputs = [DatasetInput(data, [InputTag(MLFLOW_DATASET_CONTEXT, "training")])]
    try:
        client.log_inputs(run.info.run_id, inputs)
    except MlflowException:
        client.log_inputs(run.info.run_id, inputs)
