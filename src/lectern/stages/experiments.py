"""Read the experiments, and the dependencies of each stage, from `dvc.yaml`."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lectern.artifacts.mapping_file import read_mapping
from lectern.artifacts.model_metadata import EXTENSIONS, read_metadata
from lectern.artifacts.paths import CHECKOUT, PIPELINE, ExperimentPaths
from lectern.config import nearest
from lectern.errors import UserError


@dataclass(frozen=True)
class Experiment:
    """An experiment of the pipeline, which trains a model config on a dataset."""

    name: str
    dataset: str
    task: str
    model: str

    @property
    def paths(self) -> ExperimentPaths:
        return ExperimentPaths(self.name, self.dataset)


def read_experiments() -> dict[str, Experiment]:
    """Return a dict that maps the name of each experiment to the experiment.

    The dict is empty if the current folder has no dvc.yaml.
    """
    listed = pipeline_variables().get("experiments") or {}
    return {name: parse_experiment(name, values) for name, values in listed.items()}


def parse_experiment(name: str, values: Any) -> Experiment:
    """Create an experiment from an entry of experiments.yaml.

    Raises UserError if the keys are not dataset, task and model.
    """
    keys = {"dataset", "task", "model"}
    if not isinstance(values, dict) or values.keys() != keys or not all(isinstance(values[key], str) for key in keys):
        raise UserError(f"experiments.yaml: {name} is {values!r}; expected {{dataset: ..., task: ..., model: ...}}.")
    return Experiment(name, **values)


def get_experiment(name: str) -> Experiment:
    """Return the experiment `name`. Raises UserError with the nearest name if there is no experiment `name`."""
    experiments = read_experiments()
    if name not in experiments:
        raise UserError(f"There is no experiment {name!r}{nearest(name, list(experiments))}")
    return experiments[name]


def list_experiments() -> list[ExperimentPaths]:
    """Return the ExperimentPaths of every experiment of the pipeline."""
    return [experiment.paths for experiment in read_experiments().values()]


def pipeline_variables() -> dict[str, Any]:
    """Return the variables in the section `vars` of `dvc.yaml`, including those in the files that `vars` lists."""
    if not PIPELINE.is_file():
        return {}
    variables: dict[str, Any] = {}
    for entry in read_mapping(PIPELINE).get("vars", []):
        variables |= read_mapping(Path(entry)) if isinstance(entry, str) else entry
    return variables


def stage_code_digest(stage: str, task: str, checkout: Path = CHECKOUT) -> str:
    """Return the digest of the source code that `dvc.yaml` lists as dependencies of a stage.

    Comments and docstrings do not change the digest.
    """
    from lectern.artifacts.source_code import list_source_files, source_digest

    files = [file for path in code_dependencies(stage, task, checkout) for file in list_source_files(path)]
    return source_digest(files, checkout)


def evaluation_code_digest(paths: ExperimentPaths) -> str:
    """Return the digest of the code that evaluates an experiment, including the model's classes of other packages."""
    from lectern.artifacts.digests import content_digest  # imports NumPy, which `lectern experiments` does not need

    own, records = stage_code_digest("evaluate", paths.task), read_metadata(paths.model).get(EXTENSIONS)
    return content_digest([own, json.dumps(records, sort_keys=True)]) if records else own


def code_dependencies(stage: str, task: str, checkout: Path = CHECKOUT) -> list[Path]:
    """Return the scripts and source folders that `dvc.yaml` lists as dependencies of a stage of one task."""
    listed = read_mapping(checkout / PIPELINE)["stages"][stage]["do"]["deps"]
    code = [dependency for dependency in listed if dependency.startswith(("pipelines/", "src/"))]
    return [checkout / dependency.replace("${item.task}", task) for dependency in code]
