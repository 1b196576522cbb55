"""Convert the signature of a function or class to a JSON Schema."""

import inspect
import json
from collections.abc import Callable, Collection
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import ConfigDict, TypeAdapter
from pydantic.errors import PydanticInvalidForJsonSchema, PydanticSchemaGenerationError

from lectern.config import is_typed_dict

Schema = dict[str, Any]
KEYWORDS = {
    Gt: ("exclusiveMinimum", "gt"),
    Ge: ("minimum", "ge"),
    Lt: ("exclusiveMaximum", "lt"),
    Le: ("maximum", "le"),
}
ANYTHING: Schema = {}  # an editor accepts every value


def object_schema(properties: dict[str, Schema], required: Collection[str]) -> Schema:
    """Return the schema of a mapping that has no other keys than `properties`."""
    return {
        "type": "object",
        "properties": properties,
        "required": sorted(required),
        "additionalProperties": False,
    }


def signature_schema(function: Callable[..., Any], positional: int = 0, more: Collection[str] = ()) -> Schema:
    """Return the schema of a section whose keys are the parameters of a function.

    The first `positional` parameters, and the parameters in `more`, are not keys of the section.
    """
    parameters = dict(list(inspect.signature(function, eval_str=True).parameters.items())[positional:])
    keys = {name: parameter for name, parameter in parameters.items() if name not in more}
    required = [name for name, parameter in keys.items() if parameter.default is inspect.Parameter.empty]
    return object_schema({name: type_schema(parameter.annotation) for name, parameter in keys.items()}, required)


def type_schema(hint: Any) -> Schema:
    """Return the schema of a type, or a schema that accepts everything if JSON cannot describe the type."""
    if hint is inspect.Parameter.empty:
        return ANYTHING
    if get_origin(hint) in (Union, UnionType):
        members = [schema for schema in map(type_schema, get_args(hint)) if schema != ANYTHING]
        # Python can return the members of an equal type in a different order
        return {"anyOf": sorted(members, key=json.dumps)} if members else ANYTHING
    if get_origin(hint) is Annotated and all(type(limit) in KEYWORDS for limit in hint.__metadata__):
        # pydantic leaves out the limits of a type with several members, such as `int | float`
        return type_schema(hint.__origin__) | dict(map(limit_keyword, hint.__metadata__))
    options = None if is_typed_dict(hint) else ConfigDict(arbitrary_types_allowed=True)
    try:
        schema = TypeAdapter(hint, config=options).json_schema()
    except (PydanticInvalidForJsonSchema, PydanticSchemaGenerationError):
        return ANYTHING
    definitions = schema.pop("$defs", {})
    resolved: Schema = resolve_references(schema, definitions)
    return resolved


def limit_keyword(limit: Any) -> tuple[str, int | float]:
    """Return the keyword and the value of JSON Schema for a limit such as `Gt(0)`."""
    keyword, attribute = KEYWORDS[type(limit)]
    return keyword, getattr(limit, attribute)


def resolve_references(schema: Any, definitions: dict[str, Schema]) -> Any:
    """Replace references to definitions by the definitions, and remove titles, which repeat the names of the keys."""
    if isinstance(schema, list):
        return [resolve_references(part, definitions) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return resolve_references(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    is_title = isinstance(schema.get("title"), str)
    parts = {key: part for key, part in schema.items() if not (key == "title" and is_title)}
    return {key: resolve_references(part, definitions) for key, part in parts.items()}


def choose_by(key: str, schemas: dict[str, Schema]) -> list[Schema]:
    """Return conditions that apply a schema only if a key has a value, such as the schema of a task's sections."""
    return [
        {"if": {"properties": {key: {"const": value}}, "required": [key]}, "then": schema}
        for value, schema in schemas.items()
    ]
