"""Check that the weights of a trained model fit the module of a new training."""

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors import safe_open
from torch import Tensor

from lectern.artifacts.model_metadata import read_metadata
from lectern.config import nearest
from lectern.errors import UserError
from lectern.training.module import TrainableModule

Tensors = Mapping[str, str]  # maps the name of a tensor to its type and shape, such as `float32 [10, 128]`
DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64", "I32": "int32"}
SHOWN = 60  # maximum number of characters of a value in an error message


def list_tensors(folder: Path) -> dict[str, str]:
    """Return the tensors in the weights file of a model folder. Only the header of the file is read."""
    with safe_open(folder / "weights.safetensors", "pt") as file:
        names = file.keys()
        slices = {name: file.get_slice(name) for name in names}
        return {name: f"{read_dtype(value.get_dtype())} {value.get_shape()}" for name, value in slices.items()}


def read_dtype(name: str) -> str:
    return DTYPES.get(name, name.lower())


def describe_tensor(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"


def without_rows(tensor: str | None) -> str | None:
    """Return the description of a tensor without the number of its rows, such as `float32 [..., 128]`."""
    return tensor and re.sub(r"\[\d+", "[...", tensor)


def is_part_of(name: str, parts: Collection[str]) -> bool:
    """Return whether a tensor belongs to one of the parts. Without parts, every tensor belongs to the selection."""
    return not parts or any(not part or name == part or name.startswith(f"{part}.") for part in parts)


def check_fit(module: TrainableModule, source: Path, parts: Sequence[str]) -> None:
    """Raise UserError if the weights of a model folder do not fit a module.

    All tensors in `parts`, or all tensors if `parts` is empty, must exist in the model folder and in the module, with
    the same shapes and types. The number of rows may differ for a tensor in `warm_start_rows`. The facts and
    hyperparameters that give these tensors their meaning must be equal.
    """
    found = list_tensors(source)
    expected = {name: describe_tensor(value) for name, value in module.state_dict().items()}
    for part in parts:
        check_part(part, found, f"The model in {source}")
        check_part(part, expected, "This model")
    selected = [name for name in sorted(found.keys() | expected.keys()) if is_part_of(name, parts)]
    misfits = [name for name in selected if not is_equal(name, found.get(name), expected.get(name), module)]
    if misfits:
        raise UserError(describe_misfits(misfits, found, expected, source))
    check_meaning(module, source, selected)


def is_equal(name: str, found: str | None, expected: str | None, module: TrainableModule) -> bool:
    """Return whether a tensor of the source fits. The number of rows may differ if the rows are matched by entries."""
    if name in module.warm_start_rows:
        return found is not None and without_rows(found) == without_rows(expected)
    return found == expected


def check_part(part: str, tensors: Tensors, owner: str) -> None:
    if not any(is_part_of(name, [part]) for name in tensors):
        prefixes = sorted({prefix for name in tensors for prefix in list_prefixes(name)})
        available = ", ".join(prefix for prefix in prefixes if prefix.count(".") <= part.count("."))
        raise UserError(f"{owner} has no part {part!r}{nearest(part, prefixes)} Available: {available}.")


def list_prefixes(name: str) -> Iterator[str]:
    """Yield the names of the modules that contain a tensor, such as `network` and `network.0` for `network.0.bias`."""
    words = name.split(".")[:-1]
    yield from (".".join(words[:count]) for count in range(1, len(words) + 1))


def describe_misfits(misfits: Sequence[str], found: Tensors, expected: Tensors, source: Path) -> str:
    lines = (
        f"  {name}: found {found.get(name, 'no tensor')}, expected {expected.get(name, 'no tensor')}"
        for name in misfits
    )
    fitting = find_fitting_parts(sorted(found.keys() | expected.keys()), misfits)
    remedy = f"list only the parts that fit: {{model: {source}, parts: [{', '.join(fitting)}]}}" if fitting else ""
    return "\n".join(
        [
            f"{len(misfits)} of the tensors in {source} do not fit this model:",
            *lines,
            f"Use a network with the same architecture{f', or {remedy}' if remedy else ''}.",
        ]
    )


def find_fitting_parts(names: Sequence[str], misfits: Collection[str], depth: int = 1) -> list[str]:
    """Return the largest submodules that contain no misfit."""
    fitting: list[str] = []
    for prefix in dict.fromkeys(".".join(name.split(".")[:depth]) for name in names):
        inside = [name for name in names if is_part_of(name, [prefix])]
        if not set(inside) & set(misfits):
            fitting.append(prefix)
        elif inside != [prefix]:
            fitting += find_fitting_parts(inside, misfits, depth + 1)
    return fitting


def check_meaning(module: TrainableModule, source: Path, selected: Collection[str]) -> None:
    """Raise UserError if a fact or a hyperparameter that the copied tensors depend on is different in both models."""
    theirs, own = read_metadata(source)["hyperparameters"], dict(module.hparams)
    for part, keys in module.warm_start_requires.items():
        for key in keys if any(is_part_of(name, [part]) for name in selected) else ():
            values = [get_nested(hyperparameters, key) for hyperparameters in (theirs, own)]
            if to_json(values[0]) != to_json(values[1]):
                raise UserError(
                    f"The weights in {source} have another meaning in this model: {key} is "
                    f"{shorten(values[0], values[1])} there and {shorten(values[1], values[0])} here. Train both "
                    f"models with the same {key}, or copy only parts that do not depend on it. The class "
                    f"{type(module).__name__} lists these dependencies in warm_start_requires."
                )


def get_nested(values: Any, key: str) -> Any:
    """Return the value of a dotted key such as `facts.alphabet`, or None if there is no such key."""
    for part in key.split("."):
        values = values.get(part) if isinstance(values, Mapping) else None
    return values


def to_json(value: Any) -> str:
    """Return a text that is equal for a value and for the same value after it was read from module.json."""
    return json.dumps(value, sort_keys=True, default=str)


def shorten(value: Any, other: Any) -> str:
    """Return a value as a short text. A long text starts shortly before the first difference from the other value."""
    text, different = to_json(value), to_json(other)
    if len(text) <= SHOWN:
        return text
    first = next((index for index, pair in enumerate(zip(text, different, strict=False)) if pair[0] != pair[1]), SHOWN)
    start = max(0, first - SHOWN // 2)
    return f"{'...' if start else ''}{text[start : start + SHOWN]}{'...' if start + SHOWN < len(text) else ''}"
