"""Sections of config files to calls: the signature that takes a section is its schema."""

import difflib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lectern.errors import UserError


@dataclass(frozen=True)
class Dataset:
    """What to learn from: an origin made ready for one task (`conf/dataset/<name>.yaml`)."""

    name: str
    task: str
    origin: str
    score: dict[str, Any]
    preprocess: dict[str, Any] = field(default_factory=dict)
    guards: dict[str, dict[str, Any]] = field(default_factory=dict)  # of the gate, beside those of conf/gate.yaml


@dataclass(frozen=True)
class Model:
    """What to learn: a network with its training recipe (`conf/model/<name>.yaml`)."""

    name: str
    task: str
    module: dict[str, Any]
    batches: dict[str, Any]
    fit: dict[str, dict[str, Any]]
    best: dict[str, str]


def call(function: Callable, section: Mapping[str, Any], where: str, *given: Any, **more: Any) -> Any:
    """`function(*given, **section, **more)`, where a wrong or missing key is a message and not a traceback.

    >>> call(Dataset, {"nam": "mnist"}, "conf/dataset/mnist.yaml")
    UserError: conf/dataset/mnist.yaml: no key 'nam' here; did you mean 'name'? ...
    """
    check_keys(function, section, where, len(given), more)
    return function(*given, **section, **more)


def check_keys(
    function: Callable, section: Mapping[str, Any], where: str, positional: int = 0, more: Mapping[str, Any] = ()
) -> None:
    """Raises UserError for a key that `function` does not take, or one it needs that is missing."""
    if not isinstance(section, Mapping):
        raise UserError(f"{where}: a mapping of keys belongs here, found {section!r}.")
    parameters = dict(list(inspect.signature(function).parameters.items())[positional:])
    open_keys = [name for name in parameters if name not in more]
    check_names(section, open_keys, where)
    for name in open_keys:
        if parameters[name].default is inspect.Parameter.empty and name not in section:
            raise UserError(f"{where}: the key {name!r} is missing. It takes: {', '.join(open_keys)}.")


def check_names(section: Mapping[str, Any], choices: list[str], where: str) -> None:
    """Raises UserError for a key that is none of the choices."""
    for key in section:
        if key not in choices:
            raise UserError(f"{where}: no key {key!r} here{nearest(key, choices)} It takes: {', '.join(choices)}.")


def split_class(section: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Split a section `{class: Name, ...}` into the name, or None, and the arguments of the class."""
    return section.get("class"), {key: value for key, value in section.items() if key != "class"}


def nearest(word: str, choices: list[str]) -> str:
    """`; did you mean ...?` where a choice is near, else a full stop."""
    match = difflib.get_close_matches(word, choices, n=1, cutoff=0.5)
    return f"; did you mean {match[0]!r}?" if match else "."
