"""A room's signature to the classes of its requests and answers, and a body to what `answer` takes."""

from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model, model_validator

from lectern.errors import UserError
from lectern.task_modules import task_module

KINDS = {"string": str, "long": int, "integer": int, "double": float, "float": float, "boolean": bool}
TOLD = 3  # mistakes of a body that are told


class Request(BaseModel):
    """One `input`, or many `inputs`; and `params` where the model has any."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"oneOf": [{"required": ["input"]}, {"required": ["inputs"]}]}
    )

    @model_validator(mode="after")
    def one_or_many(self):
        if len({"input", "inputs"} & self.model_fields_set) != 1:
            raise ValueError("give one `input`, or a list of `inputs`")
        return self


@dataclass(frozen=True)
class Shapes:
    """What goes in and out of the models of one task."""

    request: type[Request]
    answer: type[BaseModel]


@cache
def shapes(task: str, characters: int) -> Shapes:
    """From the signature that the room's versions are registered with; texts have at most so many characters."""
    signature, request_format = (
        task_module(task, "serving.inference_api").signature(),
        task_module(task, "serving.request"),
    )
    title = task.title().replace("_", "")
    item = item_type(signature.inputs, f"{title}Input", characters)
    many = Annotated[list[item], Field(min_length=1, max_length=request_format.ROWS)]
    fields: dict[str, Any] = {
        "input": (item, Field(default=None, description="one")),
        "inputs": (many, Field(default=None, description=f"many, {request_format.ROWS} at most")),
    }
    if signature.params:
        params = params_type(signature.params, request_format.PARAMETERS, f"{title}Params")
        fields["params"] = (params, Field(default_factory=params))
    out = item_type(signature.outputs, f"{title}Output", None)
    answer = create_model(
        f"{title}Answer",
        model=(str, Field(description="the name that was asked")),
        version=(int, Field(description="the version that answered, all of it")),
        outputs=(list[out], ...),
    )
    return Shapes(create_model(f"{title}Request", __base__=Request, **fields), answer)


def item_type(schema, title: str, characters: int | None) -> Any:
    """The type of one row: nested lists for a tensor, a class for columns."""
    if schema.is_tensor_spec():
        spec = schema.inputs[0]
        return nested(number_type(spec.type), spec.shape[1:])
    columns = {column.name: column_type(column, characters) for column in schema.inputs}
    return create_model(title, __config__=ConfigDict(extra="forbid"), **columns)


def nested(item: Any, shape: tuple[int, ...]) -> Any:
    """Lists of lists of a shape; -1 is any length from 1 on."""
    for length in reversed(shape):
        bounds = {"min_length": 1} if length < 0 else {"min_length": length, "max_length": length}
        item = Annotated[list[item], Field(**bounds)]
    return item


def number_type(kind: np.dtype) -> Any:
    if kind.kind == "u":
        return Annotated[int, Field(strict=True, ge=0, le=int(np.iinfo(kind).max))]
    return float


def column_type(column, characters: int | None) -> tuple[Any, Any]:
    kind = KINDS[column.type.name]
    if kind is str and characters:
        kind = Annotated[str, Field(strict=True, max_length=characters)]
    return (kind, ...) if column.required else (kind | None, None)


def params_type(schema, bounds: dict[str, Any], title: str) -> type[BaseModel]:
    """The signature's params and defaults, each within what the room allows a caller from outside."""
    fields = {
        spec.name: (Annotated[KINDS[spec.dtype.name], bounds.get(spec.name, Field())], spec.default)
        for spec in schema.params
    }
    return create_model(title, __config__=ConfigDict(extra="forbid", strict=True), **fields)


def read_body(body: bytes, task: str, characters: int) -> tuple[Any, dict[str, Any]]:
    """JSON to the inputs and params that the room's `answer` takes. Raises UserError that says where it is wrong."""
    try:
        request = shapes(task, characters).request.model_validate_json(body)
    except ValidationError as error:
        raise UserError(tell(error)) from None
    rows = [request.input] if "input" in request.model_fields_set else request.inputs
    params = request.params.model_dump() if hasattr(request, "params") else {}
    return to_inputs(rows, task_module(task, "serving.inference_api").signature().inputs), params


def to_inputs(rows: list[Any], schema) -> Any:
    """Checked rows as an array or a table."""
    if not schema.is_tensor_spec():
        return pd.DataFrame([row.model_dump() for row in rows])
    try:
        return np.array(rows, schema.inputs[0].type)
    except ValueError:
        shape = " x ".join("n" if length < 0 else str(length) for length in schema.inputs[0].shape)
        raise UserError(f"inputs are ragged: every list of a level must be as long as the others ({shape}).") from None


def tell(error: ValidationError) -> str:
    """The first mistakes of a body, each with its place."""
    mistakes = error.errors(include_url=False, include_context=False)
    lines = [f"{place(mistake['loc'])}{mistake['msg']}{found(mistake)}" for mistake in mistakes[:TOLD]]
    more = [f"and {len(mistakes) - TOLD} more"] if len(mistakes) > TOLD else []
    return "; ".join(lines + more)


def place(location: tuple[Any, ...]) -> str:
    return f"{'.'.join(map(str, location))}: " if location else ""


def found(mistake: dict[str, Any]) -> str:
    """What was there, where it can be shown in a word."""
    value = mistake["input"]
    if isinstance(value, str | int | float) and len(str(value)) <= 40 and mistake["type"] != "json_invalid":
        return f" (found {value!r})"
    return ""


def to_outputs(answered: Any) -> list[Any]:
    """An array or a table as the rows of an answer."""
    if isinstance(answered, pd.DataFrame):
        return answered.to_dict("records")
    return answered.tolist()
