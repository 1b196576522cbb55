"""Check that a section of a config file has the keys and types that a function or class accepts."""

import difflib
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from annotated_types import Ge, Gt, Le, Lt
from typing_extensions import TypedDict

from lectern.errors import UserError

PositiveInt = Annotated[int, Gt(0)]
NonNegativeInt = Annotated[int, Ge(0)]
PositiveFloat = Annotated[int | float, Gt(0)]
NonNegativeFloat = Annotated[int | float, Ge(0)]
Amount = PositiveInt | Annotated[float, Gt(0), Lt(1)]  # a number of items, or a share of all items
PositiveFraction = Annotated[float, Gt(0), Le(1)]
Fraction = Annotated[float, Ge(0), Le(1)]
DropoutRate = Annotated[float, Ge(0), Lt(1)]  # with a rate of 1, the output of a layer would be only zeros
LayerCount = Annotated[int, Gt(0), Le(1000)]  # a larger value is a mistake, and would fill the memory
Threads = Annotated[int, Gt(0), Le(4096)]
Seed = Annotated[int, Ge(0), Lt(2**32)]  # the seeds that NumPy accepts

KINDS = {  # maps pydantic's name of an error to the kind of value that was expected
    "int_type": "an integer",
    "float_type": "a number",
    "string_type": "a string",
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "list_type": "a list",
    "tuple_type": "a list",
}


class Score(TypedDict):
    """The name, the unit and the direction of the score by which models of a dataset are compared."""

    name: str
    unit: str
    higher_is_better: bool


@dataclass(frozen=True)
class Dataset:
    """The config of a dataset (`conf/dataset/<name>.yaml`), which is the data of an origin, prepared for one task."""

    name: str
    task: str
    origin: str
    score: Score
    preprocess: dict[str, Any] = field(default_factory=dict)
    # guards that extend or replace the guards of the promotion gate in conf/gate.yaml
    guards: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raise UserError if the dataset names a different score than the score that its task computes."""
        computed = self.preprocess.get("score", self.score["name"])
        if computed != self.score["name"]:
            raise UserError(
                f"conf/dataset/{self.name}.yaml: score.name is {self.score['name']!r}, but preprocess.score is "
                f"{computed!r}. Write the name and the unit of the computed score to `score`."
            )


@dataclass(frozen=True)
class Model:
    """The config of a model (`conf/model/<name>.yaml`), which contains a network and its training recipe."""

    name: str
    task: str
    module: dict[str, Any]
    batches: dict[str, Any]
    fit: dict[str, dict[str, Any]]
    best: dict[str, str]
    init_from: str | dict[str, Any] | None = None  # model folder with the first weights of the training


def call(function: Callable[..., Any], section: Mapping[str, Any], where: str, *given: Any, **more: Any) -> Any:
    """Check a section against the signature of a function, and return `function(*given, **section, **more)`.

    >>> call(Dataset, {"nam": "mnist"}, "conf/dataset/mnist.yaml")
    UserError: conf/dataset/mnist.yaml: unknown key 'nam'; did you mean 'name'? Valid keys: name, task, ...
    """
    check_section(function, section, where, len(given), more)
    return function(*given, **section, **more)


def check_section(
    function: Callable[..., Any],
    section: Mapping[str, Any],
    where: str,
    positional: int = 0,
    more: Mapping[str, Any] | None = None,
) -> None:
    """Check that the keys and values of a section fit the parameters of a function.

    The first `positional` parameters, and the parameters in `more`, are not read from the section. Raises UserError
    with the file, the key, the wrong value and the expected value.
    """
    if not isinstance(section, Mapping):
        raise UserError(f"{where}: expected a mapping of keys to values, found {section!r}.")
    parameters = dict(list(inspect.signature(function).parameters.items())[positional:])
    keys = [name for name in parameters if name not in (more or {})]
    check_keys(section, keys, where)
    for name in keys:
        if parameters[name].default is inspect.Parameter.empty and name not in section:
            raise UserError(f"{where}: missing key {name!r}. Valid keys: {', '.join(keys)}.")
    check_values(function, section, where)


def check_keys(section: Mapping[str, Any], keys: list[str], where: str) -> None:
    """Raise UserError if the section has a key that is not in `keys`. The error message suggests the nearest key."""
    for key in section:
        if key not in keys:
            raise UserError(f"{where}: unknown key {key!r}{nearest(key, keys)} Valid keys: {', '.join(keys)}.")


def check_values(function: Callable[..., Any], section: Mapping[str, Any], where: str) -> None:
    """Raise UserError if a value in the section does not have the type of the function's parameter."""
    parameters = inspect.signature(function, eval_str=True).parameters
    for key, value in section.items():
        if key in parameters and parameters[key].annotation is not inspect.Parameter.empty:
            check_value(key, value, parameters[key].annotation, where)


def check_value(key: str, value: Any, hint: Any, where: str) -> None:
    """Raise UserError if the value of a config key does not have the type `hint`.

    An int is accepted as a float, and a list is accepted as a tuple.
    """
    from pydantic import ConfigDict, TypeAdapter, ValidationError  # slow import

    options = ConfigDict(arbitrary_types_allowed=True, allow_inf_nan=False)
    adapter = TypeAdapter(hint, config=None if is_typed_dict(hint) else options)
    try:
        # pydantic's strict mode accepts a list as a tuple only for JSON
        adapter.validate_json(json.dumps(value, default=str), strict=True)
    except ValidationError as error:
        problems = [problem for problem in error.errors() if problem["type"] != "needs_python_object"]
        path, found = locate(key, value, problems[0]["loc"])
        expected = " or ".join(dict.fromkeys(map(describe_expected, problems)))
        raise UserError(f"{where}: {path} is {found!r}; expected {expected}.{quoting_hint(found, problems)}") from error


def describe_expected(problem: Mapping[str, Any]) -> str:
    """Describe the values that pydantic expected, such as `an integer` or `a number greater than 0`."""
    if problem["type"] == "missing":
        return f"a mapping with the key {problem['loc'][-1]!r}"
    if problem["type"] in KINDS:
        return KINDS[problem["type"]]
    message: str = problem["msg"].removeprefix("Input should be ")
    return f"a number {message}" if message.startswith(("greater", "less")) else message


def quoting_hint(found: Any, problems: Sequence[Mapping[str, Any]]) -> str:
    """Return a hint to use quotes if YAML has read a word such as `no` or `2024` as a value of another type."""
    is_word_expected = all(problem["type"] in ("string_type", "literal_error") for problem in problems)
    if not is_word_expected or not isinstance(found, bool | int | float):
        return ""
    return " YAML reads words such as no, on and 2024 as values of other types; put such a word in quotes."


def is_typed_dict(hint: Any) -> bool:
    """Return whether a type is a TypedDict. Pydantic does not accept a `ConfigDict` for a TypedDict."""
    return isinstance(hint, type) and issubclass(hint, dict) and hasattr(hint, "__total__")


def locate(key: str, value: Any, location: tuple[int | str, ...]) -> tuple[str, Any]:
    """Return the wrong value that pydantic found, and its dotted path. The path starts with `key`."""
    for part in location:  # pydantic's location also contains names of union types
        entries = dict(enumerate(value)) if isinstance(value, list) else value
        if isinstance(entries, Mapping) and part in entries:
            key, value = f"{key}.{part}", entries[part]
    return key, value


def split_class(section: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Split a section, such as one with `class` and `dropout`, into the class name and the arguments of the class.

    The class name is None if the section has no key `class`. Raises UserError if the class name is not a string.
    """
    name = section.get("class")
    if not isinstance(name, str | None):
        raise UserError(f"class is {name!r}; expected the name of a class.")
    return name, {key: value for key, value in section.items() if key != "class"}


def nearest(word: str, choices: list[str]) -> str:
    """Return the text `; did you mean ...?` if one of the choices is similar to the word, and otherwise a full stop."""
    match = difflib.get_close_matches(word, choices, n=1, cutoff=0.5)
    return f"; did you mean {match[0]!r}?" if match else "."
