"""Read the experiments, and the dependencies of each stage, from `dvc.yaml`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from lectern.artifacts.mapping_file import read_mapping
from lectern.artifacts.model_metadata import EXTENSIONS, read_metadata
from lectern.artifacts.paths import CHECKOUT, PIPELINE, ExperimentPaths
from lectern.artifacts.pipeline_variables import EVALUATED, FINE_TUNED, PRE_TRAINED, TRAINED, read_pipeline_variables
from lectern.config import nearest
from lectern.errors import UserError

KEYS = ("dataset", "task", "model")
FINE_TUNED_KEYS = (*KEYS, "init_from")


@dataclass(frozen=True)
class Experiment:
    """An experiment of the pipeline, which trains a model config on a dataset.

    The training of a fine-tuned experiment starts from the weights of the experiment `init_from`.
    """

    name: str
    dataset: str
    task: str
    model: str
    init_from: str | None = None

    @property
    def paths(self) -> ExperimentPaths:
        return ExperimentPaths(self.name, self.dataset)


def read_experiments() -> dict[str, Experiment]:
    """Return a dict that maps the name of each experiment to the experiment, fine-tuned experiments last.

    The dict is empty if the current folder has no dvc.yaml. Raises UserError if the lists in experiments.yaml are
    inconsistent.
    """
    variables = read_pipeline_variables()
    trained, fine_tuned = (read_group(group, variables) for group in (TRAINED, FINE_TUNED))
    pre_trained = read_pre_trained(variables)
    check_no_repeated_name({TRAINED: trained, PRE_TRAINED: pre_trained, FINE_TUNED: fine_tuned})
    experiments = {name: parse_experiment(name, values, KEYS) for name, values in trained.items()}
    experiments |= {name: parse_experiment(name, values, FINE_TUNED_KEYS) for name, values in fine_tuned.items()}
    check_sources(experiments | pre_trained)
    check_evaluated(list(experiments), variables)
    return experiments


def read_pre_trained(variables: Mapping[str, Any] | None = None) -> dict[str, Experiment]:
    """Return the experiments that are only a source of weights. They are not evaluated and not registered."""
    listed = read_group(PRE_TRAINED, read_pipeline_variables() if variables is None else variables)
    return {name: parse_experiment(name, values, KEYS) for name, values in listed.items()}


def check_no_repeated_name(groups: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise UserError if two lists of experiments contain the same name."""
    for (first, names), (second, others) in combinations(groups.items(), 2):
        if repeated := names.keys() & others.keys():
            raise UserError(
                f"experiments.yaml lists {', '.join(sorted(repeated))} in {first} and in {second}. Remove one of the "
                "two lines."
            )


def read_group(group: str, variables: Mapping[str, Any]) -> dict[str, Any]:
    """Return a list of experiments in experiments.yaml, or an empty dict if there is no such list."""
    listed = variables.get(group) or {}
    if not isinstance(listed, dict):
        raise UserError(
            f"experiments.yaml: {group} is {str(listed)[:80]!r}; expected lines of the form `NAME: {{dataset: ...}}`."
        )
    return listed


def parse_experiment(name: str, values: Any, keys: tuple[str, ...]) -> Experiment:
    """Create an experiment from an entry of experiments.yaml. Raises UserError if the entry does not have the keys."""
    is_valid = isinstance(values, dict) and values.keys() == set(keys)
    if not is_valid or not all(isinstance(value, str) for value in values.values()):
        expected = ", ".join(f"{key}: ..." for key in keys)
        raise UserError(f"experiments.yaml: {name} is {values!r}; expected {{{expected}}}.")
    return Experiment(name, **values)


def check_sources(experiments: Mapping[str, Experiment]) -> None:
    """Raise UserError if a fine-tuned experiment starts from an unknown experiment, or indirectly from itself."""
    for experiment in experiments.values():
        source, path = experiment.init_from, [experiment.name]
        while source is not None:
            if source not in experiments:
                raise UserError(
                    f"experiments.yaml: {path[-1]} has init_from {source!r}, but there is no experiment {source!r}"
                    f"{nearest(source, list(experiments))}"
                )
            if source in path:
                raise UserError(
                    f"experiments.yaml: {' starts from '.join([*path, source])}. Expected an experiment that does not "
                    f"start from {source}. Change init_from of {path[-1]}."
                )
            path.append(source)
            source = experiments[source].init_from


def check_evaluated(experiments: list[str], variables: Mapping[str, Any]) -> None:
    """Raise UserError if the stages evaluate and register would not run for exactly the listed experiments."""
    evaluated = set(read_group(EVALUATED, variables)) if EVALUATED in variables else set(experiments)
    differing = evaluated.symmetric_difference(experiments)
    if differing:
        raise UserError(
            f"experiments.yaml: {EVALUATED} must list the experiments in {TRAINED} and {FINE_TUNED}, but it differs in "
            f"{', '.join(sorted(differing))}. Write the headings `{TRAINED}: &{TRAINED}` and "
            f"`{FINE_TUNED}: &{FINE_TUNED}`, and at the end `{EVALUATED}: {{<<: [*{TRAINED}, *{FINE_TUNED}]}}`."
        )


def get_experiment(name: str) -> Experiment:
    """Return the experiment `name`. Raises UserError with the nearest name if there is no experiment `name`."""
    experiments = read_experiments() | read_pre_trained()
    if name not in experiments:
        raise UserError(f"There is no experiment {name!r}{nearest(name, list(experiments))}")
    return experiments[name]


def list_experiments() -> list[ExperimentPaths]:
    """Return the ExperimentPaths of every experiment of the pipeline."""
    return [experiment.paths for experiment in read_experiments().values()]


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
