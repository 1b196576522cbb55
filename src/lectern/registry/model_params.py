"""Check the parameters of a prediction. Commands, the API, the web page and MLflow use the same check."""

import json
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic.fields import FieldInfo

from lectern.config import nearest
from lectern.errors import UserError
from lectern.task_modules import task_module

PYTHON_TYPES: dict[str, type] = {
    "string": str,
    "long": int,
    "integer": int,
    "double": float,
    "float": float,
    "boolean": bool,
}
KINDS: dict[Any, str] = {int: "an integer", float: "a number", str: "a string", bool: "true or false"}
BOUNDS = {"ge": "of at least", "gt": "above", "le": "of at most", "lt": "below"}
MAX_FOUND_CHARACTERS = 40  # a longer value is cut in an error message


def validate_params(task: str, params: Mapping[str, Any], for_server: bool = False) -> dict[str, Any]:
    """Return the values of all parameters of a task. A parameter that is not in `params` has its default value.

    If `for_server` is true, the limits of the server also apply. Raises UserError with the name, the found value and
    the expected value of each wrong parameter.
    """
    schema = params_schema(task, for_server)
    values = {name: to_python_value(value) for name, value in params.items()}
    try:
        complete = schema(**values).model_dump()
    except ValidationError as error:
        wrong = [describe_wrong_param(schema, str(each["loc"][0]), each["input"]) for each in error.errors()]
        raise UserError(" ".join(wrong)) from None
    if check_combination := getattr(task_module(task, "serving.inference_api"), "check_params", None):
        check_combination(**complete)
    return complete


@cache
def params_schema(task: str, for_server: bool = False) -> type[BaseModel]:
    """Return the pydantic model of a task's parameters, with the default values and the limits of the task."""
    inference_api = task_module(task, "serving.inference_api")
    limits: dict[str, FieldInfo] = getattr(inference_api, "param_limits", dict)()
    if for_server:
        limits |= getattr(task_module(task, "serving.request"), "SERVER_PARAM_LIMITS", {})
    fields: dict[str, Any] = {
        spec.name: (Annotated[PYTHON_TYPES[spec.to_dict()["type"]], limits.get(spec.name, Field())], spec.default)
        for spec in inference_api.signature().params or []
    }
    title = f"{task.title().replace('_', '')}Params"
    return create_model(title, __config__=ConfigDict(extra="forbid", strict=True), **fields)


def describe_wrong_param(schema: type[BaseModel], name: str, value: Any) -> str:
    """Return an error message such as `beam is 1.5; expected an integer from 1 to 32.`"""
    known = list(schema.model_fields)
    if name not in known:
        choices = f"The parameters are: {', '.join(known)}." if known else "The model has no parameters."
        return f"The model has no parameter {name!r}{nearest(name, known)} {choices}"
    return f"{name} is {format_found(value)}; expected {describe_expected_param(schema.model_fields[name])}."


def describe_expected_param(field: FieldInfo) -> str:
    """Return the kind and the range of a parameter, such as `an integer from 1 to 32`."""
    kind = KINDS[field.annotation]
    limits = {name: getattr(part, name) for part in field.metadata for name in BOUNDS if hasattr(part, name)}
    if {"ge", "le"} <= limits.keys():
        return f"{kind} from {limits['ge']:,} to {limits['le']:,}"
    bounds = " and ".join(f"{BOUNDS[name]} {limit:,}" for name, limit in limits.items())
    return f"{kind} {bounds}".rstrip()


def format_found(value: Any) -> str:
    """Return a wrong value as JSON. A long value is cut."""
    text = json.dumps(value, default=repr, ensure_ascii=False)
    return text if len(text) <= MAX_FOUND_CHARACTERS else f"{text[:MAX_FOUND_CHARACTERS]}…"


def to_python_value(value: Any) -> Any:
    """Convert a NumPy number, which MLflow passes, to a Python number."""
    return value.item() if hasattr(value, "dtype") and hasattr(value, "item") and value.ndim == 0 else value
