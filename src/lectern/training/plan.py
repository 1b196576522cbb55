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

from lectern.artifacts.digests import file_digest
from lectern.artifacts.model_folder import find_class
from lectern.artifacts.paths import CHECKOUT, CONF, PROCESSED, group_config
from lectern.config import Dataset, Model, call, check_keys, check_section, nearest
from lectern.errors import UserError
from lectern.stages.experiments import code_dependencies
from lectern.task_modules import task_module
from lectern.training import fit as training
from lectern.training.world_size import check_batch_divides


@dataclass(frozen=True)
class Plan:
    """What to train on what, for how long, from which seed: everything that the weights depend on."""

    dataset: Dataset
    model: Model
    budget: str
    seed: int

    @property
    def processed(self) -> Path:
        return PROCESSED / self.dataset.name

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
    dataset = call(Dataset, config["dataset"], str(CONF / "dataset"))
    model = call(Model, config["model"], str(CONF / "model"))
    if dataset.task != model.task:
        raise UserError(f"{model.name} learns {model.task}, but {dataset.name} is a data set for {dataset.task}.")
    where = str(group_config("model", model.name))
    if config["budget"] not in model.fit:
        budgets = list(model.fit)
        raise UserError(
            f"{where}: no budget {config['budget']!r}{nearest(str(config['budget']), budgets)} There is: {budgets}."
        )
    check_model(model, where)
    check_trainer(config["trainer"], str(CONF / "trainer"))
    check_batch_divides(model.batches, config["trainer"], f"{where}, batches")
    fit = {**model.fit, config["budget"]: resolve_precision(model, config["budget"], config["trainer"])}
    return Plan(dataset, replace(model, fit=fit), config["budget"], config["seed"])


def check_model(model: Model, where: str) -> None:
    """Each section of a model's file has the keys of its callable, in every budget."""
    given = {"processed": None, "split": None, "seed": None}
    check_section(task_module(model.task, "model.loader").load, model.batches, f"{where}, batches", more=given)
    arguments = {key: value for key, value in model.module.items() if key != "class"}
    check_section(
        find_class(model.task, model.module.get("class", "")), arguments, f"{where}, module", more={"facts": None}
    )
    check_section(training.KeepBest, model.best, f"{where}, best")
    own = dict.fromkeys(("folder", "trainer", "best", "listen", "name"))
    for budget, section in model.fit.items():
        check_section(training.fit, section, f"{where}, fit.{budget}", positional=3, more=own)


def check_trainer(trainer: dict[str, Any], where: str) -> None:
    """A trainer's keys are those of Lightning's Trainer, and `threads`. Raises UserError with the nearest right one."""
    check_keys(trainer, ["threads", *inspect.signature(pl.Trainer).parameters], where)
    if "threads" not in trainer:
        raise UserError(f"{where}: the key 'threads' is missing: with how many threads a process computes.")


def resolve_precision(model: Model, budget: str, trainer: dict[str, Any]) -> dict[str, Any]:
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


def code_digest(task: str, checkout: Path = CHECKOUT) -> str:
    """Hash the source files that `train` in `dvc.yaml` depends on: the files that can change the weights."""
    files = [file for path in code_dependencies("train", task, checkout) for file in source_files(path)]
    return hashlib.sha256("".join(file_digest(file) for file in files).encode()).hexdigest()


def source_files(path: Path) -> list[Path]:
    return [path] if path.is_file() else sorted(path.rglob("*.py"))
