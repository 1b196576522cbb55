"""Check that the source of a training's first weights is a dependency of the stage that runs the training."""

from pathlib import Path

from lectern.artifacts.model_metadata import INIT_FROM
from lectern.artifacts.paths import MODELS, group_config
from lectern.artifacts.pipeline_variables import FINE_TUNED, TRAINED
from lectern.errors import UserError
from lectern.stages.experiments import Experiment, read_experiments
from lectern.training.plan import Plan


def check_dependency(plan: Plan, out: Path) -> None:
    """Raise UserError if the source of the first weights is not the source that experiments.yaml names.

    DVC takes the dependency from experiments.yaml. If the training started from another model, DVC would not repeat the
    training after a change of that model. A training that writes to no experiment's model folder is not checked.
    """
    source = plan.warm_start.experiment if plan.warm_start else None
    if source and out == MODELS / source:
        raise UserError(
            f"{group_config('model', plan.model.name)}: {INIT_FROM} is {out}, the model folder that this training "
            "writes. Expected the model folder of another experiment."
        )
    experiment = read_experiments().get(out.name) if out.parent == MODELS else None
    if experiment and experiment.init_from != source:
        raise UserError(describe_disagreement(experiment, source, plan.model.name))


def describe_disagreement(experiment: Experiment, source: str | None, model: str) -> str:
    config, name = group_config("model", model), experiment.name
    if source is None:
        return (
            f"experiments.yaml says that {name} starts from {experiment.init_from}, but {config} has no {INIT_FROM}. "
            f"Add `{INIT_FROM}: {MODELS}/{experiment.init_from}` to {config}, or move {name} to {TRAINED} without "
            f"{INIT_FROM}."
        )
    line = f"{name}: {{dataset: {experiment.dataset}, task: {experiment.task}, model: {experiment.model}"
    found = f"starts from {experiment.init_from}" if experiment.init_from else "starts from random weights"
    return (
        f"{config} has {INIT_FROM} {MODELS}/{source}, but experiments.yaml says that {name} {found}, so DVC would not "
        f"train {name} again after a change of {source}. Replace the line of {name} in experiments.yaml by this line "
        f"below {FINE_TUNED}: `{line}, {INIT_FROM}: {source}}}`."
    )
