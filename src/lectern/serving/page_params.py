"""Add an input for each parameter of a task's inference API."""

import json
import random
from typing import Any

from nicegui import ui
from pydantic.fields import FieldInfo

from lectern.registry.model_params import params_schema, validate_params

SEED = "seed"
MAX_DIGITS = 1000  # the JSON parser raises RecursionError for some long texts
MAX_RANDOM_SEED = 999_999  # small, so that a visitor can write the seed down


class ParamInputs:
    """The inputs of all parameters, with the description of each parameter."""

    def __init__(self, task: str, **values: float):
        """Add the inputs to the page. `values` are the first values of inputs that differ from the defaults."""
        self.task = task
        fields = params_schema(task, for_server=True).model_fields
        with ui.element("div").classes("params"):
            self.inputs = {name: add_param(name, field, values.get(name)) for name, field in fields.items()}

    def read_values(self) -> dict[str, Any]:
        """Return the values of all parameters. Raises UserError if a value is wrong, such as a seed of 1.5."""
        texts = {name: field.value or "" for name, field in self.inputs.items()}
        return validate_params(self.task, {name: parse_number(text) for name, text in texts.items()}, for_server=True)


def add_param(name: str, field: FieldInfo, value: float | None) -> ui.input:
    """Add the input of one parameter and its description."""
    label = name.replace("_", " ").capitalize()
    # the value is kept as text, because a browser rounds large numbers and numbers with many decimals
    shown = ui.input(label, value=f"{field.default if value is None else value}").props("outlined dense type=number")
    shown.props(f"step={1 if field.annotation is int else 'any'}").classes("param")
    with ui.row().classes("param-hint"):
        hint = ui.label(sentence(field.description or "")).classes("note")
        if name == SEED:
            ui.button("Random seed", icon="casino", on_click=lambda: set_random_seed(shown)).props("flat dense")
    shown.props(f"aria-describedby={hint.html_id}")
    return shown


def set_random_seed(seed: ui.input) -> None:
    seed.set_value(str(random.randint(0, MAX_RANDOM_SEED)))


def sentence(text: str) -> str:
    """Return a description with a capital letter and without the Markdown of the API documentation."""
    return text[:1].upper() + text[1:].replace("`", "")


def parse_number(text: str) -> Any:
    """Return the number in a text. Return the text itself if it is no number.

    >>> parse_number("3"), parse_number("1.5"), parse_number("12345678901234567890"), parse_number("")
    (3, 1.5, 12345678901234567890, '')
    """
    if len(text) > MAX_DIGITS:
        return text
    try:
        number = json.loads(text)
    except ValueError:
        return text
    return number if isinstance(number, int | float) else text
