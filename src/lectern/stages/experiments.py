"""Read the experiments and the dependencies of the stages from `dvc.yaml`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lectern.artifacts.paths import CHECKOUT, PIPELINE, ExperimentPaths
from lectern.config import nearest
from lectern.errors import UserError


@dataclass(frozen=True)
class Experiment:
    """An experiment of the pipeline. It consists of a dataset and the model that is trained on it."""

    name: str
    dataset: str
    task: str
    model: str

    @property
    def paths(self) -> ExperimentPaths:
        return ExperimentPaths(self.name, self.dataset)


def read_experiments() -> dict[str, Experiment]:
    """Return every experiment of the pipeline by its name. The dict is empty if the folder has no pipeline."""
    listed = pipeline_variables().get("experiments", {})
    return {name: Experiment(name, **values) for name, values in listed.items()}


def get_experiment(name: str) -> Experiment:
    """Return one experiment. Raises UserError with the nearest name if it is not listed."""
    experiments = read_experiments()
    if name not in experiments:
        raise UserError(f"There is no experiment {name!r}{nearest(name, list(experiments))}")
    return experiments[name]


def list_experiments() -> list[ExperimentPaths]:
    """Return the paths of every experiment of the pipeline."""
    return [experiment.paths for experiment in read_experiments().values()]


def pipeline_variables() -> dict[str, Any]:
    """Return the variables of `dvc.yaml`, including the variables of the files that it loads."""
    if not PIPELINE.is_file():
        return {}
    variables: dict[str, Any] = {}
    for entry in yaml.safe_load(PIPELINE.read_text())["vars"]:
        variables |= yaml.safe_load(Path(entry).read_text()) if isinstance(entry, str) else entry
    return variables


def code_dependencies(stage: str, task: str, checkout: Path = CHECKOUT) -> list[Path]:
    """Return the scripts and source folders that a stage of `dvc.yaml` depends on for a task."""
    listed = yaml.safe_load((checkout / PIPELINE).read_text())["stages"][stage]["do"]["deps"]
    code = [dependency for dependency in listed if dependency.startswith(("pipelines/", "src/"))]
    return [checkout / dependency.replace("${item.task}", task) for dependency in code]
