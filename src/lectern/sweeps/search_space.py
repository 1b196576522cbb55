"""`conf/sweep/<model>.yaml` to values that Optuna suggests."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import optuna
import yaml

from lectern.artifacts.paths import group_config
from lectern.config import call
from lectern.errors import UserError


@dataclass(frozen=True)
class Range:
    """Where a value may lie: between low and high, in steps or evenly over its magnitudes; or one of the choices."""

    low: int | float | None = None
    high: int | float | None = None
    step: int | float | None = None
    log: bool = False
    choices: Sequence[Any] = ()

    def suggest(self, trial: optuna.Trial, name: str) -> Any:
        """The trial's value, to three digits: more than training can tell apart, and fit to be read."""
        if self.choices:
            return trial.suggest_categorical(name, list(self.choices))
        if isinstance(self.low, int) and isinstance(self.high, int):
            return trial.suggest_int(name, self.low, self.high, step=int(self.step or 1), log=self.log)
        return float(f"{trial.suggest_float(name, self.low, self.high, step=self.step, log=self.log):.3g}")


def read_space(model: str) -> dict[str, Range]:
    """The ranges by their keys in the model's file. Raises UserError where there is none, or a key has no taker."""
    path, taker = group_config("sweep", model), group_config("model", model)
    if not path.is_file():
        raise UserError(
            f"There is no {path}, which would say what to try. Write one, a line for each key of {taker}, as: "
            "module.learning_rate: {low: 0.001, high: 0.02, log: true}"
        )
    content = yaml.safe_load(taker.read_text())
    space = {key: call(Range, section, f"{path}, {key}") for key, section in yaml.safe_load(path.read_text()).items()}
    for key, one in space.items():
        value_at(content, key, f"{path}: {taker}")
        if not one.choices and (one.low is None or one.high is None):
            raise UserError(f"{path}, {key}: give low and high, or choices.")
    return space


def value_at(content: dict, key: str, where: str) -> Any:
    """The value at a dotted key."""
    for part in key.split("."):
        if not isinstance(content, dict) or part not in content:
            raise UserError(f"{where} has no key {key!r}.")
        content = content[part]
    return content
