"""Build the request and response schemas of a task from the signature of its models, and parse request bodies."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import GenericAlias
from typing import Annotated, Any

import numpy as np
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema, TensorSpec
from pydantic import BaseModel, ConfigDict, FailFast, Field, ValidationError, conlist, create_model, model_validator

from lectern.errors import UserError
from lectern.registry.model_params import (
    PYTHON_TYPES,
    describe_wrong_param,
    params_schema,
    validate_params,
)
from lectern.serving.large_bodies import check_row_count, parse_with_arrow, read_array
from lectern.task_modules import task_module

MAX_REPORTED_ERRORS = 3
LARGE_BODY_BYTES = 50_000  # larger JSON bodies are parsed with Arrow, in a thread
MANY_COLONS = 1000  # more than in a valid body with few inputs; pydantic reports each of many unknown keys


class PredictRequest(BaseModel):
    """Base class of the request schemas.

    A request body has one `input` or a list of `inputs`, and `params` if the model has parameters.
    """

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"oneOf": [{"required": ["input"]}, {"required": ["inputs"]}]}
    )

    @model_validator(mode="after")
    def check_one_input_field(self) -> "PredictRequest":
        if len({"input", "inputs"} & self.model_fields_set) != 1:
            raise ValueError("send either `input` or a list of `inputs`")
        return self


@dataclass(frozen=True)
class TaskSchemas:
    """The request and response schemas of a task."""

    request: type[PredictRequest]
    response: type[BaseModel]


@cache
def task_schemas(task: str, max_characters: int) -> TaskSchemas:
    """Return the schemas of a task, built from the signature of its models.

    Input texts may have at most `max_characters` characters.
    """
    signature, request_module = model_signature(task), task_module(task, "serving.request")
    title, max_rows = task.title().replace("_", ""), request_module.MAX_ROWS
    row = row_type(signature.inputs, f"{title}Input", max_characters)
    rows = conlist(row, min_length=1, max_length=max_rows)
    fields: dict[str, Any] = {
        "input": (row, Field(default=None, description="one input")),
        "inputs": (rows, Field(default=None, description=f"a list of at most {max_rows} inputs")),
    }
    if signature.params:
        params = params_schema(task, for_server=True)
        fields["params"] = (params, Field(default_factory=params))
    response = create_model(
        f"{title}Response",
        model=(str, Field(description="name of the registered model")),
        version=(int, Field(description="number of the model version that computed all outputs")),
        outputs=(conlist(row_type(signature.outputs, f"{title}Output", None)), ...),
    )
    return TaskSchemas(create_model(f"{title}Request", __base__=PredictRequest, **fields), response)


def model_signature(task: str) -> ModelSignature:
    signature: ModelSignature = task_module(task, "serving.inference_api").signature()
    return signature


def row_type(schema: Schema, title: str, max_characters: int | None) -> Any:
    """Return the type of one input or output: a nested list for a tensor, or a pydantic model for table columns."""
    tensor = tensor_spec(schema)
    if tensor:
        return nested_list_type(number_type(tensor.type), tensor.shape[1:])
    columns: dict[str, Any] = {str(column.name): column_field(column, max_characters) for column in schema.inputs}
    return create_model(title, __config__=ConfigDict(extra="forbid"), **columns)


def tensor_spec(schema: Schema) -> TensorSpec | None:
    """Return the tensor specification of a schema, or None if the schema consists of table columns."""
    spec = schema.inputs[0]
    return spec if isinstance(spec, TensorSpec) else None


def nested_list_type(number: Any, shape: tuple[int, ...]) -> Any:
    """Return the type of nested lists of numbers with the shape `shape`.

    A length of -1 means any length of at least 1.
    """
    nested = number
    for length in reversed(shape):
        lists = conlist(nested, min_length=max(length, 1), max_length=None if length < 0 else length)
        nested = Annotated[lists, FailFast()]  # without FailFast, pydantic creates one error for each wrong number
    return nested


def number_type(dtype: "np.dtype[Any]") -> Any:
    if dtype.kind == "u":
        return Annotated[int, Field(strict=True, ge=0, le=int(np.iinfo(dtype).max))]
    return float


def column_field(column: ColSpec | TensorSpec, max_characters: int | None) -> tuple[Any, Any]:
    """Return the type and the default of a table column."""
    kind = column_type(column.to_dict())
    if kind is str and max_characters:
        kind = Annotated[str, Field(strict=True, max_length=max_characters)]
    return (kind, ...) if column.required else (kind | None, None)


def column_type(column: Mapping[str, Any]) -> Any:
    """Return the type of the values in a table column. A column of MLflow's type `map` contains dicts."""
    if column["type"] == "map":
        return GenericAlias(dict, (str, column_type(column["values"])))
    return PYTHON_TYPES[column["type"]]


def is_large(body: bytes) -> bool:
    """Return whether pydantic would need so much time for a body that the server parses it with Arrow."""
    return len(body) > LARGE_BODY_BYTES or body.count(b":") > MANY_COLONS


def parse_body(body: bytes, task: str, max_characters: int) -> tuple[Any, dict[str, Any]]:
    """Parse a JSON body into the inputs and params of the model.

    Raises UserError with the first mistakes and their locations if the body is invalid.
    """
    if is_large(body):
        signature = model_signature(task)
        table, tensor = parse_with_arrow(body, signature), tensor_spec(signature.inputs)
        # before pydantic parses the rows, because pydantic holds the GIL
        check_row_count(table, task_module(task, "serving.request").MAX_ROWS)
        if tensor and not signature.params:
            return read_array(table, tensor), {}
    try:
        request: Any = task_schemas(task, max_characters).request.model_validate_json(body)
    except ValidationError as error:
        raise UserError(format_errors(error, task)) from None
    rows = [request.input] if "input" in request.model_fields_set else request.inputs
    params = validate_params(task, request.params.model_dump(), for_server=True) if hasattr(request, "params") else {}
    return to_inputs(rows, model_signature(task).inputs), params


def to_inputs(rows: list[Any], schema: Schema) -> Any:
    """Convert the validated inputs of a request to an array or a table."""
    tensor = tensor_spec(schema)
    if not tensor:
        return pd.DataFrame([row.model_dump() for row in rows])
    try:
        return np.array(rows, tensor.type)
    except ValueError:
        shape = " x ".join("n" if length < 0 else str(length) for length in tensor.shape)
        raise UserError(f"all lists at the same level of nesting must have the same length ({shape}).") from None


def to_outputs(outputs: Any) -> list[Any]:
    """Convert an array or a table of outputs to the list of outputs in a response."""
    rows: list[Any] = outputs.to_dict("records") if isinstance(outputs, pd.DataFrame) else outputs.tolist()
    return rows


def format_errors(error: ValidationError, task: str) -> str:
    """Return the first validation errors, each with its location in the body, as one line of text."""
    errors = error.errors(include_url=False, include_context=False)
    lines = [format_error(error["loc"], error, task) for error in errors[:MAX_REPORTED_ERRORS]]
    more = [f"and {len(errors) - MAX_REPORTED_ERRORS} more"] if len(errors) > MAX_REPORTED_ERRORS else []
    return "; ".join(lines + more)


def format_error(location: tuple[int | str, ...], error: Mapping[str, Any], task: str) -> str:
    """Return a validation error with its location in the body.

    For a wrong parameter, the message is the same as that of the commands.
    """
    if location[:1] == ("params",) and len(location) > 1 and model_signature(task).params:
        message = describe_wrong_param(params_schema(task, for_server=True), str(location[1]), error["input"])
        return f"params.{location[1]}: {message}"
    return f"{format_location(location)}{error['msg']}{format_value(error['input'], error['type'])}"


def format_location(location: tuple[int | str, ...]) -> str:
    return f"{'.'.join(map(str, location))}: " if location else ""


def format_value(value: Any, error_type: str) -> str:
    """Return a text such as ` (found 'abc')` for a short wrong value, or an empty text for a long value."""
    if isinstance(value, str | int | float) and len(str(value)) <= 40 and error_type != "json_invalid":
        return f" (found {value!r})"
    return ""
