"""A composed config to a checked plan of training, and the key under which it is known everywhere."""

import hashlib
import inspect
import json
import sys
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from lectern import training
from lectern.config import Dataset, Model, call, check_keys, check_names, nearest
from lectern.errors import UserError
from lectern.models import find_class
from lectern.processed import file_digest
from lectern.rooms import leg
from lectern.world import check_share

PACKAGE = Path(__file__).parent
# Files of the hall that can change the weights.
HALL = ("batches", "history", "models", "optimizers", "processed", "resume", "training")


@dataclass(frozen=True)
class Plan:
    """What to train on what, for how long, from which seed: everything that the weights depend on."""

    dataset: Dataset
    model: Model
    budget: str
    seed: int

    @property
    def processed(self) -> Path:
        return Path("data/processed") / self.dataset.name

    @property
    def fit(self) -> dict[str, Any]:
        return self.model.fit[self.budget]

    @cached_property
    def key(self) -> str:
        """A hash of config, data and code: where checkpoints live, and how a resumed run finds its own again."""
        model = {name: getattr(self.model, name) for name in ("task", "batches", "module", "best")}
        data = file_digest(self.processed / "facts.json")
        parts = [model, self.fit, self.seed, self.dataset.name, data, code_digest(self.model.task)]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def read_plan(config: dict[str, Any]) -> Plan:
    """Check every section against what takes it. Raises UserError that names the file, the key and the nearest one."""
    dataset = call(Dataset, config["dataset"], "conf/dataset")
    model = call(Model, config["model"], "conf/model")
    if dataset.task != model.task:
        raise UserError(f"{model.name} learns {model.task}, but {dataset.name} is a data set for {dataset.task}.")
    where = f"conf/model/{model.name}.yaml"
    if config["budget"] not in model.fit:
        budgets = list(model.fit)
        raise UserError(
            f"{where}: no budget {config['budget']!r}{nearest(str(config['budget']), budgets)} There is: {budgets}."
        )
    check_model(model, where)
    check_trainer(config["trainer"], "conf/trainer")
    check_share(model.batches, config["trainer"], f"{where}, batches")
    fit = {**model.fit, config["budget"]: within_reach(model, config["budget"], config["trainer"])}
    return Plan(dataset, replace(model, fit=fit), config["budget"], config["seed"])


def check_model(model: Model, where: str) -> None:
    """Each section of a model's file has the keys of its callable, in every budget."""
    given = {"processed": None, "split": None, "seed": None}
    check_keys(leg(model.task, "batches").load, model.batches, f"{where}, batches", more=given)
    arguments = {key: value for key, value in model.module.items() if key != "class"}
    check_keys(
        find_class(model.task, model.module.get("class", "")), arguments, f"{where}, module", more={"facts": None}
    )
    check_keys(training.KeepBest, model.best, f"{where}, best")
    own = dict.fromkeys(("folder", "trainer", "best", "listen", "name"))
    for budget, section in model.fit.items():
        check_keys(training.fit, section, f"{where}, fit.{budget}", positional=3, more=own)


def check_trainer(trainer: dict[str, Any], where: str) -> None:
    """A trainer's keys are those of Lightning's Trainer, and `threads`. Raises UserError with the nearest right one."""
    check_names(trainer, ["threads", *inspect.signature(pl.Trainer).parameters], where)
    if "threads" not in trainer:
        raise UserError(f"{where}: the key 'threads' is missing: with how many threads a process computes.")


def within_reach(model: Model, budget: str, trainer: dict[str, Any]) -> dict[str, Any]:
    """How to train for a budget, in float32 instead of bfloat16 where the processor does not compute in it: oneDNN's
    LSTM would stop at the first step, and its GRU take ten times as long as in float32."""
    fit = model.fit[budget]
    if "bf16" not in fit.get("precision", "") or trainer["accelerator"] != "cpu" or has_bfloat16():
        return fit
    if training.is_first_process():
        print(f"lectern: {model.name} in float32, as this processor does not compute in bfloat16", file=sys.stderr)
    return {**fit, "precision": "32-true"}


def has_bfloat16() -> bool:
    """Whether oneDNN, which computes for PyTorch on CPUs, takes bfloat16 on this one."""
    return torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()


def code_digest(task: str) -> str:
    """A hash of the source files that can change what training gives: the same as DVC's `train` depends on."""
    room = [path for path in sorted((PACKAGE / task).rglob("*.py")) if "serving" not in path.relative_to(PACKAGE).parts]
    files = [PACKAGE / f"{name}.py" for name in HALL] + room
    return hashlib.sha256("".join(file_digest(path) for path in files).encode()).hexdigest()
