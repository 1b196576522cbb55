"""Read the variables of `dvc.yaml`, such as the lists of experiments in `experiments.yaml`."""

from pathlib import Path
from typing import Any

from lectern.artifacts.mapping_file import read_mapping
from lectern.errors import UserError

# lists of experiments in experiments.yaml
TRAINED, PRE_TRAINED, FINE_TUNED, EVALUATED = "experiments", "pre_trained", "fine_tuned", "evaluated"
TRAIN_STAGES = {PRE_TRAINED: "pre_train", FINE_TUNED: "fine_tune"}


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

    The stage `pre_train` trains the experiments that are only a source of weights, and the stage `fine_tune` trains the
    experiments that start from the weights of another experiment. If the lists of experiments are damaged, the result
    is the stage `train`, because a message that names a stage must not hide the problem that it is about.
    """
    try:
        variables = read_pipeline_variables()
    except UserError:
        variables = {}
    stages = [stage for group, stage in TRAIN_STAGES.items() if experiment in (variables.get(group) or {})]
    return f"{stages[0] if stages else 'train'}@{experiment}"
