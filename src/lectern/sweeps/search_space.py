"""Read the search space of a model from `conf/sweep/<model>.yaml`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna

from lectern.artifacts.mapping_file import read_mapping
from lectern.artifacts.paths import group_config
from lectern.config import call
from lectern.errors import UserError

CHOICE_TYPES = (str, int, float, bool, list, type(None))


@dataclass(frozen=True)
class Range:
    """A range of numbers from `low` to `high`, optionally with a step or a logarithmic scale.

    The range contains only integers if `low`, `high` and `step` are integers.
    """

    low: int | float
    high: int | float
    step: int | float | None = None
    log: bool = False

    @property
    def is_integer(self) -> bool:
        return all(isinstance(number, int) for number in (self.low, self.high, self.step or 1))

    def suggest(self, trial: optuna.Trial, name: str) -> int | float:
        """Return the number that Optuna suggests for a trial.

        A float has three significant digits, or ten if the range has a step, because the best value is written to the
        config.
        """
        if self.is_integer:
            return trial.suggest_int(name, int(self.low), int(self.high), step=int(self.step or 1), log=self.log)
        suggested = trial.suggest_float(name, self.low, self.high, step=self.step, log=self.log)
        rounded = float(f"{suggested:.{10 if self.step else 3}g}")
        return float(min(max(rounded, self.low), self.high))

    def to_parameter(self, value: Any) -> Any:
        """Return the Optuna parameter that stands for a value."""
        return value

    def examples(self) -> list[Any]:
        """Return the values of the range that are most likely to be invalid."""
        return [self.low, self.high]

    def find_problem(self) -> str | None:
        """Return a text that says what is wrong with the range and what was expected, or None for a valid range."""
        step = self.step
        if self.low >= self.high:
            return f"low is {self.low} and high is {self.high}; expected a value of low that is less than high"
        if self.log and self.low <= 0:
            return f"low is {self.low}; with `log: true`, expected a number greater than 0"
        if self.log and step is not None:
            return "a range has either `log: true` or `step`; remove one of the two keys"
        if step is None:
            return None
        if step <= 0 or step > self.high - self.low:
            return f"step is {step}; expected a number greater than 0 and at most {self.high - self.low:.10g}"
        count = (self.high - self.low) / step
        if abs(count - round(count)) > 1e-8:
            return f"step is {step}; expected a step that divides the difference {self.high - self.low:.10g}"
        return None

    def find_mismatch(self, value: Any) -> str | None:
        """Return why the range does not contain the value in the model config, or None if it contains the value."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return "which is not a number; list the possible values under `choices`"
        if self.is_integer and not isinstance(value, int):
            return f"but the range contains only integers; write low with a decimal point, such as {float(self.low)}"
        if not self.low <= value <= self.high:
            return f"which is not in the range from {self.low} to {self.high}; extend the range"
        return None


@dataclass(frozen=True)
class Choices:
    """A list of the values that a key of the model config can have."""

    choices: list[Any]

    def suggest(self, trial: optuna.Trial, name: str) -> Any:
        """Return the value that Optuna suggests for a trial."""
        values = {self.to_parameter(value): value for value in self.choices}
        return values[trial.suggest_categorical(name, list(values))]

    def to_parameter(self, value: Any) -> str:
        """Return the Optuna parameter that stands for a value. Optuna stores no lists, so the parameter is JSON."""
        return json.dumps(value)

    def examples(self) -> list[Any]:
        return self.choices

    def find_problem(self) -> str | None:
        """Return a text that says what is wrong with the choices and what was expected, or None for valid choices."""
        for value in self.choices:
            if not isinstance(value, CHOICE_TYPES):
                return f"the choice {value!r} is not a number, a text, a list, true, false or null"
        texts = [json.dumps(value, default=str) for value in self.choices]
        if double := next((text for text in texts if texts.count(text) > 1), None):
            return f"the choice {double} occurs twice; remove one of both"
        if len(texts) < 2:
            return f"choices is {self.choices}; expected at least two values"
        return None

    def find_mismatch(self, value: Any) -> str | None:
        """Return why the choices do not contain the value in the model config, or None if they contain it."""
        is_listed = isinstance(value, CHOICE_TYPES) and json.dumps(value) in map(json.dumps, self.choices)
        return None if is_listed else "which is not in `choices`; add the value to `choices`"


SearchSpace = dict[str, Range | Choices]  # maps a dotted key of the model config to its possible values


def read_search_space(model: str) -> SearchSpace:
    """Return the search space of a model config.

    Raises UserError if the file conf/sweep/<model>.yaml is missing, if a key of the search space is invalid or missing
    in the model config, or if the search space does not contain the values in the model config.
    """
    path, model_path = group_config("sweep", model), group_config("model", model)
    example = "module.learning_rate: {low: 0.001, high: 0.02, log: true}"
    if not path.is_file():
        raise UserError(
            f"{path} does not exist. Create the file with one line for each key of {model_path} to search, such as: "
            f"{example}"
        )
    sections = read_mapping(path)
    if not sections:
        raise UserError(f"{path} contains no key. Expected one line for each key of {model_path}, such as: {example}")
    content = read_mapping(model_path)
    return {str(key): read_values(str(key), section, content, path, model_path) for key, section in sections.items()}


def read_values(key: str, section: Any, content: dict[str, Any], path: Path, model_path: Path) -> Range | Choices:
    """Return the possible values of one key. Raises UserError if a line of the search space is invalid."""
    value, where = get_value(content, key, f"{path}: {model_path}"), f"{path}, {key}"
    if not isinstance(section, Mapping):
        raise UserError(f"{where}: expected a mapping, such as {{low: 0.1, high: 0.5}}, found {section!r}.")
    for name in ("low", "high", "step"):
        reject_number_in_text(section.get(name), where, name)
    values: Range | Choices = call(Choices if "choices" in section else Range, section, where)
    if problem := values.find_problem():
        raise UserError(f"{where}: {problem}.")
    for choice in values.choices if isinstance(values, Choices) and not isinstance(value, str) else ():
        reject_number_in_text(choice, where, "a choice")
    if mismatch := values.find_mismatch(value):
        raise UserError(
            f"{where}: the value in {model_path} is {value!r}, {mismatch}. "
            "This value must be possible, because the search compares its trials with the values in the config."
        )
    return values


def reject_number_in_text(value: Any, where: str, name: str) -> None:
    """Raise UserError if a value is a text such as `1e-3`. YAML reads a number with an exponent and no dot as text."""
    try:
        number = float(value) if isinstance(value, str) else None
    except ValueError:
        return
    if number is not None:
        raise UserError(
            f"{where}: {name} is the text {value!r}; expected a number. YAML reads a number as text if it is in quotes "
            f"or has an exponent and no decimal point. Write a number such as 1.0e-3 or {number:f}."
        )


def get_value(content: dict[str, Any], key: str, where: str) -> Any:
    """Return the value of a dotted key, such as `module.learning_rate`. Raise UserError if the key is missing."""
    value: Any = content
    for part in key.split("."):
        if not isinstance(value, dict) or part not in value:
            raise UserError(f"{where} has no key {key!r}.")
        value = value[part]
    return value
