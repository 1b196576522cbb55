"""Check the arguments of `lectern add dataset` before any file is read or downloaded."""

import re
from dataclasses import dataclass, field
from inspect import signature
from pathlib import Path
from typing import Any

import yaml

from lectern.artifacts.paths import CONF, PIPELINE, group_config
from lectern.artifacts.pipeline_variables import read_pipeline_variables
from lectern.config import check_keys, check_values, nearest
from lectern.errors import UserError
from lectern.new_dataset.template import MISSING
from lectern.task_modules import has_task_module, task_module, task_names

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,99}")


@dataclass(frozen=True)
class Request:
    """The arguments of `lectern add dataset`."""

    name: str
    task: str
    licence: str
    description: str = ""
    path: Path | None = None
    urls: list[str] = field(default_factory=list)
    inside: str = ""
    members: list[str] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    overwrite: bool = False

    @property
    def config_files(self) -> list[Path]:
        return [group_config(group, self.name) for group in ("origin", "dataset")]


def check_request(request: Request) -> None:
    """Raise UserError if an argument is wrong, or if the new files would replace existing files."""
    if not PIPELINE.is_file() or not all((CONF / group).is_dir() for group in ("origin", "dataset")):
        raise UserError(f"{Path.cwd()} has no {PIPELINE}. Run this command in the root folder of a Lectern checkout.")
    check_task(request.task)
    check_name(request.name)
    check_text("--licence", request.licence)
    check_text("--description", request.description)
    if not request.licence.strip():
        raise UserError(
            "--licence is empty. State the licence of the data, such as 'CC BY 4.0 (the author)'. If the data states "
            "no licence, use 'none stated with the data'."
        )
    if (request.path is None) == (not request.urls):
        raise UserError("Give either --from with a folder or a file, or --url with one or more addresses.")
    check_settings(request)
    check_not_used(request)


def check_task(task: str) -> None:
    if task not in task_names():
        choices = [*task_names()]
        raise UserError(f"--task: unknown task {task!r}{nearest(task, choices)} Available: {', '.join(choices)}.")
    if not has_task_module(task, "dataset_template"):
        raise UserError(
            f"--task: the task {task} has no template for datasets. Write the config files by hand, as "
            "docs/adding-a-task.md describes."
        )


def check_name(name: str) -> None:
    """Raise UserError if a name is not valid in file names, in YAML, in DVC or in Hydra."""
    if not NAME.fullmatch(name):
        raise UserError(
            f"{name!r} cannot be the name of a dataset. Use at most 100 letters from a to z, digits, _ and -. "
            "The first character must be a letter."
        )
    if not isinstance(yaml.safe_load(name), str):
        raise UserError(f"{name!r} cannot be the name of a dataset, because YAML reads it as another value.")


def check_text(option: str, text: str) -> None:
    """Raise UserError if a text cannot be written to a config file."""
    if not text.isprintable() or "${" in text:
        raise UserError(f"{option} is {text!r}; expected one line of text without ${{.")


def check_settings(request: Request) -> None:
    """Raise UserError if a value of --set does not fit the arguments of the task's `preprocess`."""
    if not request.settings:
        return
    preprocess = task_module(request.task, "data.preprocess").preprocess
    keys = list(signature(preprocess).parameters)[2:]
    check_keys(request.settings, keys, "--set")
    check_values(preprocess, {key: value for key, value in request.settings.items() if value != MISSING}, "--set")


def check_not_used(request: Request) -> None:
    """Raise UserError if an origin or a dataset already has this name, unless --overwrite is given."""
    if request.overwrite:
        return
    for path in request.config_files:
        if path.exists():
            raise UserError(f"{path} already exists. Choose a different name, or add --overwrite.")
    listed = read_pipeline_variables()
    for group in ("origins", "datasets"):
        if request.name in (listed.get(group) or ()):
            raise UserError(
                f"experiments.yaml lists {request.name} in {group}. Choose a different name, or add --overwrite."
            )


def parse_settings(words: list[str]) -> dict[str, Any]:
    """Convert arguments such as `reader=donkey` or `columns=[1, 3]` to a dict. The values are YAML.

    Raises UserError if an argument has no `=`, if a key is repeated, or if a value is not YAML.
    """
    settings: dict[str, Any] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise UserError(f"--set is {word!r}; expected key=value, such as --set validation=0.05.")
        if key in settings:
            raise UserError(f"--set {key} is given twice. Give each key once.")
        try:
            settings[key] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise UserError(f"--set {key} is {value!r}, which is not a value in YAML: {error}") from error
    return settings
