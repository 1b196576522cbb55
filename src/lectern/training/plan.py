"""Check the config of a training, and compute the key that identifies the checkpoints of the training."""

import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from lectern.artifacts.dataset import Facts
from lectern.artifacts.digests import file_digest
from lectern.artifacts.extension_class import check_allowed_packages
from lectern.artifacts.extension_records import describe_references
from lectern.artifacts.model_folder import find_class
from lectern.artifacts.model_metadata import EXTENSIONS, INIT_FROM
from lectern.artifacts.paths import CONF, PROCESSED, group_config
from lectern.config import (  # fmt: skip
    Dataset,
    Model,
    Seed,
    call,
    check_section,
    check_value,
    nearest,
    split_class,
)
from lectern.errors import UserError
from lectern.stages.experiments import stage_code_digest
from lectern.task_modules import task_module
from lectern.training import fit as training
from lectern.training.callbacks import KeepBest, unknown_metric
from lectern.training.distributed import is_first_process
from lectern.training.early_stopping import StopEarly
from lectern.training.extra_callbacks import check_callbacks, describe_callbacks
from lectern.training.trainer_config import check_trainer, numeric_keys
from lectern.training.warm_start import WarmStart, read_warm_start
from lectern.training.warm_start_fit import check_fit
from lectern.training.world_size import check_batch_divides

FROM_FIT = {"keep_best": None, "history": None}  # arguments of StopEarly that the config does not contain


@dataclass(frozen=True)
class Plan:
    """A dataset, a model, a budget, a seed, and the keys of the trainer that can change the weights.

    The trained weights depend only on the plan, the data and the code.
    """

    dataset: Dataset
    model: Model
    budget: str
    seed: int
    trainer: dict[str, Any]
    classes: Sequence[dict[str, Any]] = ()  # records of the module and the network if other packages define them
    callbacks: Sequence[dict[str, Any]] = ()  # records of the callbacks in the section `fit`
    warm_start: WarmStart | None = None  # model from whose weights the training starts

    @property
    def processed(self) -> Path:
        return PROCESSED / self.dataset.name

    @property
    def fit(self) -> dict[str, Any]:
        return self.model.fit[self.budget]

    @property
    def metadata(self) -> dict[str, Any]:
        """Records for the metadata of the model: the classes from other packages, and the source of the first weights.

        It is empty without classes from other packages and without `init_from`.
        """
        source = self.warm_start.record if self.warm_start else None
        records = {EXTENSIONS: list(self.classes), "callbacks": list(self.callbacks), INIT_FROM: source}
        return {name: values for name, values in records.items() if values}

    @cached_property
    def key(self) -> str:
        """The hash of the config, the data and the code. The run directory has this hash as its name.

        A training resumes only from checkpoints in its run directory. All of these checkpoints were therefore written
        with the same config, data and code.
        """
        model = {name: getattr(self.model, name) for name in ("task", "batches", "module", "best")}
        data = file_digest(self.processed / "facts.json")
        parts = [model, self.fit, self.seed, self.dataset.name, data, stage_code_digest("train", self.model.task)]
        parts += [self.trainer] if self.trainer else []
        parts += [self.metadata] if self.metadata else []
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def read_plan(config: dict[str, Any]) -> Plan:
    """Check every section of a composed config, and return the plan of the training.

    Raises UserError with the file, the key, the wrong value and the expected value.
    """
    dataset: Dataset = call(Dataset, config["dataset"], str(CONF / "dataset"))
    model: Model = call(Model, config["model"], str(CONF / "model"))
    if dataset.task != model.task:
        raise UserError(
            f"Model {model.name} is for the task {model.task}, but dataset {dataset.name} is for {dataset.task}."
        )
    where = str(group_config("model", model.name))
    budget = config["budget"]
    check_value("budget", budget, str, "conf/train.yaml")
    check_value("out", config["out"], str | None, "conf/train.yaml")
    check_value("seed", config["seed"], Seed, "conf/train.yaml")
    if budget not in model.fit:
        budgets = list(model.fit)
        raise UserError(
            f"{where}: unknown budget {budget!r}{nearest(str(budget), budgets)} Available: {', '.join(budgets)}."
        )
    check_allowed_packages(config)
    check_model(model, where)
    check_trainer(config["trainer"], str(CONF / "trainer"))
    check_batch_divides(model.batches, config["trainer"], f"{where}, batches")
    fit = {**model.fit, budget: resolve_precision(model, budget, config["trainer"])}
    classes = describe_references(model.module, torch.nn.Module, f"{where}, module")
    callbacks = describe_callbacks(fit[budget].get("callbacks") or [])
    trainer, warm_start = numeric_keys(config["trainer"]), read_warm_start(model.init_from, where)
    return Plan(dataset, replace(model, fit=fit), budget, config["seed"], trainer, classes, callbacks, warm_start)


def check_model(model: Model, where: str) -> None:
    """Check that each section of a model config fits the function or class that is called with the section.

    The sections of all budgets are checked.
    """
    from_plan = {"processed": None, "split": None, "seed": None}
    check_section(task_module(model.task, "model.loader").load, model.batches, f"{where}, batches", more=from_plan)
    check_value("class", model.module.get("class"), str, f"{where}, module")
    name, arguments = split_class(model.module)
    check_section(find_class(model.task, name), arguments, f"{where}, module", more={"facts": None})
    check_section(KeepBest, model.best, f"{where}, best")
    from_stage = dict.fromkeys(("folder", "trainer", "best", "on_records", "name"))
    for budget, section in model.fit.items():
        check_section(training.fit, section, f"{where}, fit.{budget}", positional=3, more=from_stage)
        early = section.get("early_stopping")
        if early is not None:
            check_section(StopEarly, early, f"{where}, fit.{budget}.early_stopping", more=FROM_FIT)
        check_callbacks(section.get("callbacks") or [], f"{where}, fit.{budget}.callbacks")


def check_module(plan: Plan, facts: Facts) -> None:
    """Raise UserError if the module cannot be created from its config, or if it does not have the metric in `best`.

    Also raise UserError if the weights in `init_from` do not fit the module.

    The module is created on PyTorch's `meta` device, which allocates no memory and draws no random numbers.
    """
    name, arguments = split_class(plan.model.module)
    where = group_config("model", plan.model.name)
    try:
        with torch.device("meta"):
            module = find_class(plan.model.task, name)(facts=facts, **arguments)
        metric, available = plan.model.best["metric"], module.validation_metric_names()
        if metric not in available:
            raise unknown_metric(metric, available)
        if plan.warm_start:
            check_fit(module, plan.warm_start.folder, plan.warm_start.parts)
    except UserError as error:
        raise UserError(f"{where}: {error}") from error


def resolve_precision(model: Model, budget: str, trainer: dict[str, Any]) -> dict[str, Any]:
    """Return the `fit` section of a budget, with float32 instead of bfloat16 if the CPU does not support bfloat16.

    On a CPU without bfloat16, oneDNN's LSTM fails in bfloat16 at the first training step, and a GRU in bfloat16 takes
    ten times as long as in float32.
    """
    fit = model.fit[budget]
    if "bf16" not in fit.get("precision", "") or trainer["accelerator"] != "cpu" or has_bfloat16():
        return fit
    if is_first_process():
        print(f"lectern: training {model.name} in float32, because this CPU has no bfloat16", file=sys.stderr)
    return {**fit, "precision": "32-true"}


def has_bfloat16() -> bool:
    """Return whether oneDNN, PyTorch's library for CPUs, computes in bfloat16 on this machine."""
    return torch._C._has_mkldnn and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
