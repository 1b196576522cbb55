"""Summarise experiments and registered models as rows of a table."""

from collections.abc import Mapping
from typing import Any

from mlflow import MlflowClient

from lectern.artifacts.paths import ExperimentPaths
from lectern.errors import UserError
from lectern.registry.decision_lines import report_once
from lectern.registry.evaluated_outputs import check_outputs
from lectern.registry.registered_model import CHALLENGER, RegisteredModel, model_names
from lectern.registry.score_unit import read_score_unit
from lectern.registry.version_identity import output_identity
from lectern.registry.version_record import ModelVersionRecord
from lectern.stages.experiments import list_experiments

Row = dict[str, Any]


def read_models(client: MlflowClient) -> dict[str, RegisteredModel]:
    """Return a dict that maps the name of each registered model to the model.

    A model that cannot be read is left out and reported.
    """
    models = {}
    for name in model_names(client):
        try:
            models[name] = RegisteredModel(client, name)
        except UserError as error:
            report_once(str(error))
    return models


def unregistered_experiments(models: Mapping[str, RegisteredModel]) -> list[str]:
    """Return the names of experiments whose outputs are in this checkout but not registered in the tracking store."""
    complete = [paths for paths in list_experiments() if paths.is_complete() and not outputs_problem(paths)]
    return [paths.experiment for paths in complete if find_output_version(models, paths) is None]


def outputs_problem(paths: ExperimentPaths) -> str | None:
    """Return the reason why the outputs of an experiment cannot be registered, or None if they can be registered."""
    try:
        check_outputs(paths)
    except UserError as error:
        return str(error)
    return None


def find_output_version(models: Mapping[str, RegisteredModel], paths: ExperimentPaths) -> ModelVersionRecord | None:
    model = models.get(paths.dataset)
    return model.find_outputs(output_identity(paths).digest) if model else None


def experiment_summary(models: Mapping[str, RegisteredModel], paths: ExperimentPaths) -> Row:
    """Return a table row with the score, the baseline and the registered version of an experiment."""
    columns = ("experiment", "dataset", "score", "baseline", "better", "unit", "version", "alias")
    row: Row = dict.fromkeys(columns) | {"experiment": paths.experiment, "dataset": paths.dataset}
    if paths.is_complete() and not outputs_problem(paths):
        row |= {name: round(paths.metrics[name], 4) for name in ("score", "baseline")}
        row["better"] = "higher" if paths.evaluation["higher_is_better"] else "lower"
        row["unit"] = format_unit(paths.dataset)
        version = find_output_version(models, paths)
        if version:
            row |= {"version": version.number, "alias": models[paths.dataset].aliases_of(version.number) or None}
    return row


def format_unit(dataset: str) -> str | None:
    """Return the name and unit of a dataset's score, or None if the config of the dataset is damaged."""
    return None if config_problem(dataset) else str(read_score_unit(dataset))


def config_problem(dataset: str) -> str | None:
    """Return the reason why the config of a dataset cannot be read, or None if the config is valid or missing."""
    try:
        read_score_unit(dataset)
    except UserError as error:
        return str(error)
    return None


def model_summary(model: RegisteredModel) -> Row:
    """Return a table row with the champion and the challenger of a registered model."""
    champion = model.readable_champion
    row: Row = {
        "model": model.name,
        "versions": len(model.versions) + len(model.unreadable),
        "champion": model.champion_number,
        "score": None,
        "baseline": None,
        "unit": format_unit(model.name),
        "challenger": model.aliases.get(CHALLENGER),
    }
    if champion:
        row["champion"] = f"{champion.number} ({champion.experiment})"
        row |= {"score": round(champion.score, 4), "baseline": round(champion.baseline, 4)}
    return row


def version_summary(model: RegisteredModel, version: ModelVersionRecord, digest_length: int | None) -> Row:
    """Return a table row that describes a version.

    Digests are shortened to `digest_length` characters unless it is None.
    """
    return {
        "version": version.number,
        "experiment": version.experiment,
        "score": round(version.score, 4),
        "baseline": round(version.baseline, 4),
        "unit": format_unit(model.name),
        "test data": version.test_digest[:digest_length],
        "weights": version.weights[:digest_length],
        "alias": model.aliases_of(version.number),
    }
