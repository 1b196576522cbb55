"""TODO: lectern.registry.overview."""

from typing import Any

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from lectern.artifacts.paths import ExperimentPaths
from lectern.registry import versions
from lectern.registry.versions import has_version
from lectern.stages.experiments import list_experiments


def unregistered_experiments(client: MlflowClient) -> list[str]:
    """Experiments whose paths stand here and of which this store has no version: worth a word to the user."""
    return [paths.experiment for paths in list_experiments() if paths.is_complete() and not has_version(client, paths)]


def experiment_summary(client: MlflowClient, paths: ExperimentPaths) -> dict[str, Any]:
    """An experiment in a row of a table: what it reached, and the version that it became in this store."""
    row = dict.fromkeys(("experiment", "data_set", "score", "baseline", "better", "version", "alias"))
    row |= {"experiment": paths.experiment, "data_set": paths.dataset}
    if paths.is_complete():
        numbers = {name: round(paths.metrics[name], 4) for name in ("score", "baseline")}
        row |= {**numbers, "better": "higher" if paths.metrics["higher_is_better"] else "lower"}
        version = versions.find_version(client, paths.dataset, paths.version_tags())
        row |= {"version": version and int(version.version), "alias": version and alias_of(client, version)}
    return row


def alias_of(client: MlflowClient, version: ModelVersion) -> str | None:
    known = versions.aliases(client, version.name)
    return ", ".join(alias for alias, number in known.items() if number == str(version.version)) or None
