"""Read the search space of a model from `conf/sweep/<model>.yaml`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import optuna

from lectern.artifacts.mapping_file import read_mapping
from lectern.artifacts.paths import group_config
from lectern.config import call
from lectern.errors import UserError


@dataclass(frozen=True)
class Range:
    """A range of numbers from `low` to `high`, optionally with a step or a logarithmic scale."""

    low: int | float
    high: int | float
    step: int | float | None = None
    log: bool = False

    def suggest(self, trial: optuna.Trial, name: str) -> int | float:
        """Return the number that Optuna suggests for a trial.

        A float is rounded to three significant digits, because the best value is written to the config.
        """
        if isinstance(self.low, int) and isinstance(self.high, int):
            return trial.suggest_int(name, self.low, self.high, step=int(self.step or 1), log=self.log)
        return float(f"{trial.suggest_float(name, self.low, self.high, step=self.step, log=self.log):.3g}")


@dataclass(frozen=True)
class Choices:
    """A list of the values that a key of the model config can have."""

    choices: Sequence[Any]

    def suggest(self, trial: optuna.Trial, name: str) -> Any:
        """Return the value that Optuna suggests for a trial."""
        return trial.suggest_categorical(name, list(self.choices))


SearchSpace = dict[str, Range | Choices]  # maps a dotted key of the model config to its possible values


def read_search_space(model: str) -> SearchSpace:
    """Return the search space of a model config.

    Raises UserError if the file conf/sweep/<model>.yaml is missing, or if a key of the search space is invalid or
    missing in the model config.
    """
    path, model_path = group_config("sweep", model), group_config("model", model)
    if not path.is_file():
        raise UserError(
            f"{path} does not exist. Create the file with one line for each key of {model_path} to search, such as: "
            "module.learning_rate: {low: 0.001, high: 0.02, log: true}"
        )
    content = read_mapping(model_path)
    space: SearchSpace = {}
    for key, section in read_mapping(path).items():
        get_value(content, key, f"{path}: {model_path}")
        is_list = isinstance(section, dict) and "choices" in section
        space[key] = call(Choices if is_list else Range, section, f"{path}, {key}")
    return space


def get_value(content: dict[str, Any], key: str, where: str) -> Any:
    """Return the value of a dotted key, such as `module.learning_rate`. Raise UserError if the key is missing."""
    value: Any = content
    for part in key.split("."):
        if not isinstance(value, dict) or part not in value:
            raise UserError(f"{where} has no key {key!r}.")
        value = value[part]
    return value
