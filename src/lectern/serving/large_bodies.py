"""Parse large JSON bodies with Apache Arrow.

Arrow parses without the GIL, so other requests are answered in the meantime. Arrow also reads arrays without one Python
object per number, and stops at the first error.
"""

import re

import numpy as np
import pyarrow as pa
import pyarrow.json as pj
from mlflow.models import ModelSignature
from mlflow.types import Schema, TensorSpec

from lectern.errors import UserError
from lectern.serving.batching import Array

ARROW_TYPES = {"string": pa.string(), "boolean": pa.bool_(), "integer": pa.int64(), "long": pa.int64()}
REWORDED = (  # maps messages of Arrow to messages for clients of the API
    (re.compile(r"Column\(/(.*?)\) changed from (\w+) to (\w+) in row 0"), r"\1 is of the type \3; expected \2"),
    (re.compile(r"Column\(/(.*?)\) was specified twice in row 0"), r"the key \1 occurs twice"),
    (re.compile(r"unexpected field"), "an object has an unknown key"),
    (re.compile(r"Failed to convert JSON to (\w+), couldn't parse:(.{,40}).*"), r"found \2; expected the type \1"),
)

OBJECT_START = re.compile(rb"[ \t\r\n]*\{")


def parse_with_arrow(body: bytes, signature: ModelSignature) -> pa.Table:
    """Return the JSON object in a body as a table of one row, with the columns `input`, `inputs` and `params`.

    A missing key gives a column whose value is null. Raises UserError with the first error if the body is not one JSON
    object, or if its keys and types do not fit the signature of the model.
    """
    if not OBJECT_START.match(body):  # Arrow crashes if the body is null
        raise UserError("Invalid JSON: the body is not an object. The page /docs describes valid bodies.")
    schema = body_schema(signature)
    options = pj.ParseOptions(explicit_schema=schema, newlines_in_values=True, unexpected_field_behavior="error")
    one_block = pj.ReadOptions(use_threads=False, block_size=len(body) + 1)
    try:
        body.decode()  # Arrow does not check the encoding
        table = pj.read_json(pa.BufferReader(body), one_block, options)
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise UserError(f"Invalid JSON: {reword(str(error))}. The page /docs describes valid bodies.") from None
    if table.num_rows != 1:
        raise UserError(f"The body contains {table.num_rows} JSON objects; expected one object.")
    return table


def reword(message: str) -> str:
    message = message.removeprefix("JSON parse error: ").removesuffix(".")
    for pattern, replacement in REWORDED:
        message = pattern.sub(replacement, message)
    return message[:200]


def body_schema(signature: ModelSignature) -> pa.Schema:
    """Return the Arrow schema of a request body."""
    row = row_type(signature.inputs)
    params = [(param.name, find_arrow_type(param.to_dict()["type"])) for param in signature.params or ()]
    columns = {"input": row, "inputs": pa.list_(row)} | ({"params": pa.struct(params)} if params else {})
    return pa.schema(columns)


def row_type(schema: Schema) -> pa.DataType:
    """Return the Arrow type of one input: nested lists for a tensor, or a struct for table columns."""
    spec = schema.inputs[0]
    if not isinstance(spec, TensorSpec):
        return pa.struct([(str(column.name), find_arrow_type(column.to_dict()["type"])) for column in schema.inputs])
    nested = pa.from_numpy_dtype(spec.type) if spec.type.kind == "u" else pa.float64()
    for _ in spec.shape[1:]:
        nested = pa.list_(nested)
    return nested


def find_arrow_type(name: str) -> pa.DataType:
    return ARROW_TYPES.get(name, pa.float64())


def check_row_count(table: pa.Table, max_rows: int) -> None:
    """Raise UserError if a request has more than `max_rows` inputs."""
    count = sum(len(chunk.flatten()) for chunk in table["inputs"].chunks)
    if count > max_rows:
        raise UserError(f"inputs: found {count} inputs; send at most {max_rows} inputs per request.")


def read_array(table: pa.Table, spec: TensorSpec) -> Array:
    """Return the `input` or the `inputs` of a request as an array with the shape and type of a tensor specification.

    Raises UserError if the nested lists do not have this shape.
    """
    columns = {name: table[name].combine_chunks() for name in ("input", "inputs") if not table[name].null_count}
    if len(columns) != 1:
        raise UserError("send either `input` or a list of `inputs`")
    ((name, values),) = columns.items()
    shape = []
    for expected in spec.shape[1:] if name == "input" else spec.shape:
        shape.append(read_length(values, expected, name))
        values = values.flatten()
    if values.null_count:
        raise UserError(f"{name} contains null; expected numbers.")
    if name == "input":
        shape.insert(0, 1)
    return np.asarray(values).astype(spec.type, copy=False).reshape(shape)


def read_length(lists: pa.ListArray, expected: int, name: str) -> int:
    """Return the common length of nested lists. Raises UserError if the lengths differ or are not as expected."""
    if lists.null_count:
        raise UserError(f"{name} contains null; expected lists of numbers.")
    lengths = np.unique(np.diff(lists.offsets))
    if len(lengths) > 1:
        raise UserError(f"{name}: all lists at the same level of nesting must have the same length; found {lengths}.")
    length = int(lengths[0])
    if length == 0 or expected not in (-1, length):
        wanted = "at least 1" if expected < 0 else expected
        raise UserError(f"{name}: found a list of {length} items; expected {wanted}.")
    return length
