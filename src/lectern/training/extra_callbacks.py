"""Create the Lightning callbacks that a model config lists in addition to the callbacks of Lectern."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import pytorch_lightning as pl

from lectern.artifacts.extension_class import describe_class, import_class, is_reference
from lectern.config import call, check_section, split_class
from lectern.errors import UserError
from lectern.training.distributed import is_first_process

MORE = ("pytorch_lightning.callbacks",)  # allowed in addition to the packages in conf/config.yaml


def find_callback(section: Any, where: str) -> tuple[type[pl.Callback], dict[str, Any]]:
    """Return the class and the arguments of a callback section, such as `{class: package.module:Class, every: 3}`."""
    name, arguments = split_class(section) if isinstance(section, Mapping) else (None, {})
    if name is None or not is_reference(name):
        raise UserError(f"{where} is {section!r}; expected a mapping with the key class: package.module:Class.")
    return import_class(name, pl.Callback, where, MORE), arguments


def check_callbacks(sections: Sequence[Any], where: str) -> None:
    """Raise UserError if a callback does not exist, is not allowed, or does not accept its arguments."""
    for index, section in enumerate(sections):
        place = f"{where}[{index}]"
        check_section(*find_callback(section, place), place)


def describe_callbacks(sections: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the arguments and the record of each callback, for the checkpoint key and the metadata of the model."""
    return [
        {
            **describe_class(section["class"], pl.Callback, "callbacks", MORE).to_dict(),
            "arguments": split_class(section)[1],
        }
        for section in sections
    ]


def create_callbacks(sections: Sequence[Mapping[str, Any]]) -> list[pl.Callback]:
    """Create the callbacks, and print a warning that the training may not resume exactly.

    Raises UserError if the constructor of a callback fails, or if Lightning cannot distinguish two callbacks.
    """
    created = [create_callback(section) for section in sections]
    if created and is_first_process():
        names = ", ".join(section["class"] for section in sections)
        print(
            f"lectern: this training uses the callbacks {names}. If the training is killed and resumed, its result can "
            "differ from the result of an uninterrupted training, because Lectern does not control these callbacks.",
            file=sys.stderr,
        )
    keys = [callback.state_key for callback in created]
    if doubles := sorted({key for key in keys if keys.count(key) > 1}):
        raise UserError(
            f"callbacks: {doubles[0]} occurs twice, so Lightning cannot save the states of both. Remove one of them."
        )
    return created


def create_callback(section: Mapping[str, Any]) -> pl.Callback:
    chosen, arguments = find_callback(section, "callbacks")
    try:
        callback: pl.Callback = call(chosen, arguments, f"callbacks, {section['class']}")
    except UserError:
        raise
    except Exception as error:  # the constructor of a callback can raise every exception
        raise UserError(f"callbacks, {section['class']}: {type(error).__name__}: {error}") from error
    return callback
