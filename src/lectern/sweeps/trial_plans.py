"""Create the plans of a search's trainings, and use these plans to check the values of the search space."""

import copy
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.errors import HydraException

from lectern.artifacts.dataset import read_facts
from lectern.artifacts.paths import CONF, group_config
from lectern.errors import UserError
from lectern.stages.config_files import check_config_files, quote_names
from lectern.stages.stage import to_plain
from lectern.sweeps.search_space import SearchSpace, get_value
from lectern.training.plan import Plan, check_module, read_plan

SECTIONS = ("batches", "module", "fit")  # sections of a model config whose keys can be searched


def trial_overrides(overrides: Sequence[str], values: dict[str, Any]) -> list[str]:
    """Return the arguments of the train stage for a training with the given hyperparameters."""
    return [*overrides, *(f"model.{key}={format_override(value)}" for key, value in values.items())]


def format_override(value: Any) -> str:
    """Return a value in the syntax of Hydra's overrides."""
    if isinstance(value, list):
        return f"[{','.join(map(format_override, value))}]"
    if isinstance(value, str):
        # Hydra reads a backslash as an escape only in front of a quotation mark
        escaped = re.sub(r"(\\*)('|\Z)", lambda match: 2 * match[1] + match[2].replace("'", "\\'"), value)
        return f"'{escaped}'"
    return json.dumps(value)  # null, true, false, and numbers


def compose_config(overrides: Sequence[str]) -> dict[str, Any]:
    """Return the config of a train stage with the given arguments."""
    check_config_files("train", overrides)
    try:
        with initialize_config_dir(str(CONF.absolute()), version_base="1.3"):
            return to_plain(compose("train", quote_names(overrides)))
    except HydraException as error:
        raise UserError(f"The config of the train stage is invalid: {error}") from error


def read_trial_plan(config: dict[str, Any], values: dict[str, Any], seed: int | None = None) -> Plan:
    """Return the plan of a training with the given hyperparameters. The train stage would create the same plan."""
    changed = copy.deepcopy(config)
    for key, value in values.items():
        *parents, last = key.split(".")
        get_value(changed, ".".join(["model", *parents]), str(CONF))[last] = value
    return read_plan({**changed, "seed": config["seed"] if seed is None else seed})


def read_config_values(plan: Plan, space: SearchSpace) -> dict[str, Any]:
    """Return the values that the config contains for the keys of the search space."""
    model = {name: getattr(plan.model, name) for name in SECTIONS}
    return {key: get_value(model, key, str(group_config("model", plan.model.name))) for key in space}


def comparable_key(plan: Plan, space: SearchSpace) -> str:
    """Return a hash of everything that all trials of a search have in common.

    The hash contains the search space, the data, the code and the config, but not the values of the searched keys. The
    hash therefore does not change if the best values are written to the config.
    """
    sections = {name: copy.deepcopy(getattr(plan.model, name)) for name in SECTIONS}
    for key in space:
        *parents, last = key.split(".")
        get_value(sections, ".".join(parents), plan.model.name)[last] = None
    common = replace(plan, model=replace(plan.model, **sections)).key
    return hashlib.sha256(f"{common} {sorted(space.items(), key=str)}".encode()).hexdigest()[:8]


def check_space(config: dict[str, Any], plan: Plan, space: SearchSpace) -> None:
    """Create a module with the limits of each range and with each choice, as a training would create the module.

    Raises UserError if the config does not accept a value, or if a key does not change the training.
    """
    path = group_config("sweep", plan.model.name)
    for key, values in space.items():
        if key.split(".")[0] not in SECTIONS or "." not in key:
            raise UserError(f"{path}: {key!r} cannot be searched; expected a key in {', '.join(SECTIONS)}.")
        plans = [check_trial_value(config, key, value, f"{path}, {key}") for value in values.examples()]
        if len({each.key for each in plans}) == 1:
            raise UserError(f"{path}: {key!r} does not change the training with the budget {plan.budget}. Remove it.")


def check_trial_value(config: dict[str, Any], key: str, value: Any, where: str) -> Plan:
    """Return the plan of a training with one changed value.

    Raises UserError if the config does not accept the value.
    """
    try:
        plan = read_trial_plan(config, {key: value})
        check_module(plan, read_facts(plan.processed))
    except Exception as error:  # the constructors of PyTorch's layers raise various exceptions for wrong values
        raise UserError(f"{where}: the value {value!r} cannot be used: {error}") from error
    return plan
