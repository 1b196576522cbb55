"""Read the variables of `dvc.yaml`, such as the lists of experiments in `experiments.yaml`."""

from pathlib import Path
from typing import Any

from lectern.artifacts.mapping_file import read_mapping

TRAINED, FINE_TUNED, EVALUATED = "experiments", "fine_tuned", "evaluated"  # lists of experiments in experiments.yaml


def read_pipeline_variables() -> dict[str, Any]:
    """Return the variables in the section `vars` of `dvc.yaml`, including those in the files that `vars` lists.

    The dict is empty if the current folder has no dvc.yaml.
    """
    from lectern.artifacts.paths import PIPELINE  # `paths` imports this module

    if not PIPELINE.is_file():
        return {}
    variables: dict[str, Any] = {}
    for entry in read_mapping(PIPELINE).get("vars", []):
        variables |= read_mapping(Path(entry)) if isinstance(entry, str) else entry
    return variables


def train_stage(experiment: str) -> str:
    """Return the name of the stage that trains an experiment, such as `train@mnist-cnn`.

    The stage `fine_tune` trains the experiments that start from the weights of another experiment.
    """
    is_fine_tuned = experiment in (read_pipeline_variables().get(FINE_TUNED) or {})
    return f"fine_tune@{experiment}" if is_fine_tuned else f"train@{experiment}"
