"""Prepare a debug run: its plan, its folder, its module and its data."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lectern.artifacts.dataset import Facts
from lectern.artifacts.model_folder import find_class
from lectern.artifacts.paths import RUNS
from lectern.config import split_class
from lectern.errors import UserError
from lectern.task_modules import task_module
from lectern.training import fit
from lectern.training.finished_result import is_run_by_dvc
from lectern.training.module import TrainableModule
from lectern.training.plan import Plan
from lectern.training.run_lock import lock_run_directory
from lectern.training.warm_start import initialize
from lectern.training.world_size import world_size

FOLDER = RUNS / "debug"  # not the name of a run directory, because these names are checkpoint keys


@dataclass(frozen=True)
class Session:
    """A debug run of a training."""

    name: str  # name of the preset
    plan: Plan
    facts: Facts
    config: Mapping[str, Any]

    @property
    def title(self) -> str:
        return f"{self.plan.dataset.name}-{self.plan.model.name}-{self.name}"

    @property
    def folder(self) -> Path:
        return FOLDER / self.title

    @property
    def trainer(self) -> dict[str, Any]:
        return dict(self.config["trainer"])

    def override_model(self, batches: Mapping[str, int], module: Mapping[str, Any]) -> "Session":
        """Return a session with smaller batches, and with other values of the module's arguments.

        `batches` contains upper limits for the values in the section `batches` of the model config. Keys that this
        section does not have are ignored. The changed plan has a
        checkpoint key of its own.
        """
        model = self.plan.model
        smaller = {key: min(value, batches.get(key, value)) for key, value in model.batches.items()}
        model = replace(model, batches=smaller, module=replace_existing(model.module, module))
        plan = replace(self.plan, model=model, trainer={**self.plan.trainer, "debug": self.name})
        return replace(self, plan=plan)

    def create_module(self) -> TrainableModule:
        """Set the random seed, and create the module with the first weights of the training."""
        fit.set_determinism(self.plan.seed, self.config["trainer"]["threads"])
        name, arguments = split_class(self.plan.model.module)
        module = find_class(self.plan.model.task, name)(facts=self.facts, **arguments)
        initialize(module, self.plan.warm_start, self.folder)
        return module

    def load(self, split: str) -> Any:
        load = task_module(self.plan.model.task, "model.loader").load
        return load(self.plan.processed, split, self.plan.seed, **self.plan.model.batches)

    def fit_options(self, *names: str) -> dict[str, Any]:
        """Return some values of the section `fit`, if the recipe has them."""
        return {name: self.plan.fit[name] for name in names if name in self.plan.fit}


def replace_existing(section: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a section in which the values of existing keys are replaced."""
    changed = dict(section)
    for key in section.keys() & values.keys():
        value = section[key]
        changed[key] = replace_existing(value, values[key]) if isinstance(value, Mapping) else values[key]
    return changed


def check_debug_run(name: str, config: Mapping[str, Any]) -> None:
    """Raise UserError if a debug run makes no sense here."""
    if is_run_by_dvc():
        raise UserError(
            f"debug={name} cannot be used in a stage of DVC, because a debug run writes no model folder. Remove "
            f"debug={name} from dvc.yaml, and run: lectern train EXPERIMENT --debug {name}"
        )
    if config["out"] is not None:
        raise UserError(f"debug={name} writes no model folder, but out is {config['out']!r}. Remove out=...")
    if (processes := world_size(config["trainer"])) > 1:
        raise UserError(
            f"debug={name} runs in one process, but the trainer has {processes} processes. "
            "Add trainer.devices=1 trainer.num_nodes=1 trainer.strategy=auto, or trainer=laptop."
        )


@contextmanager
def empty_folder(folder: Path) -> Iterator[None]:
    """Delete the files of an earlier debug run, and lock the folder inside the block."""
    with lock_run_directory(folder):
        shutil.rmtree(folder)
        folder.mkdir()
        yield
