"""Write and load a model folder, which contains the weights of a module and the metadata to create the module."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch.nn.modules.module import (
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)

from lectern.artifacts.extension_class import common_base, import_class, is_reference
from lectern.artifacts.extension_files import ROOT
from lectern.artifacts.extension_records import check_extensions
from lectern.artifacts.model_metadata import FORMAT, read_metadata
from lectern.atomic import atomic_file, write_json
from lectern.errors import UserError
from lectern.task_modules import task_module
from lectern.training.module import TrainableModule

PARTS_PER_TENSOR = 100  # maximum number of submodules and parameters of a network per tensor in its file of weights


def save_model(module: pl.LightningModule, folder: Path, more: Mapping[str, Any] | None = None) -> None:
    """Write the weights of a module to `weights.safetensors`, and its metadata and `more` to `module.json`.

    Neither file contains a pickle, a path, a time or a run ID, so equal modules give equal files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: value.detach().cpu().contiguous() for name, value in sorted(module.state_dict().items())}
    try:
        with atomic_file(folder / "weights.safetensors") as part:
            part.touch()
            permissions = part.stat().st_mode
            save_file(weights, part)
            # safetensors allows only the owner to read the file, but several users can share a checkout
            part.chmod(permissions)
    # if the disk is full, safetensors raises SafetensorError instead of OSError
    except SafetensorError as error:
        raise UserError(
            f"The weights could not be written to {folder}: {error}. Free some space and run the same command again."
        ) from error
    write_json(folder / "module.json", {**create_metadata(module), **(more or {})})


def create_metadata(module: pl.LightningModule) -> dict[str, Any]:
    """Return the metadata of a Lightning module, which `save_model` writes to `module.json`.

    The key `task` is the name of the package that contains the class of the module, or the base class of the task.
    """
    chosen = type(module)
    base = next(each for each in chosen.__mro__ if each.__module__.startswith(f"{ROOT}.tasks."))
    return {
        "format": FORMAT,
        "task": base.__module__.split(".")[-3],
        "class": chosen.__name__ if chosen is base else f"{chosen.__module__}:{chosen.__name__}",
        "hyperparameters": dict(module.hparams),
    }


def load_model(folder: Path) -> TrainableModule:
    """Return the module of a model folder in evaluation mode.

    The files of the folder cannot execute code, because the folder contains no pickle.

    Raises UserError if the folder is missing, incomplete, damaged or of another format, or if a class of another
    package has changed since the training.
    """
    metadata = read_metadata(folder)
    check_extensions(metadata, folder)
    create = partial(find_class(metadata["task"], metadata["class"]), **metadata["hyperparameters"])
    try:
        check_weights(create, folder / "weights.safetensors")
        module = create()
        module.load_state_dict(load_file(folder / "weights.safetensors"))
    except Exception as error:  # wrong hyperparameters can raise every exception in the constructor of a module
        raise UserError(
            f"{folder}/weights.safetensors does not match module.json: {type(error).__name__}: {error}"
        ) from error
    return module.eval()


def check_weights(create: Callable[[], TrainableModule], path: Path) -> None:
    """Raise ValueError if the weights in a file do not have the names and shapes of the weights of a module.

    The module is created on the meta device, so hyperparameters of a network that is too large allocate no memory.
    """
    with safe_open(path, "pt") as file:
        names = file.keys()
        found = {name: file.get_slice(name).get_shape() for name in names}
    with torch.device("meta"), limit_parts(PARTS_PER_TENSOR * len(found) + PARTS_PER_TENSOR):
        expected = {name: list(value.shape) for name, value in create().state_dict().items()}
    for name in sorted(found.keys() | expected.keys()):
        if found.get(name) != expected.get(name):
            raise ValueError(f"{name} has the shape {found.get(name)}; expected {expected.get(name)}")


@contextmanager
def limit_parts(limit: int) -> Iterator[None]:
    """Raise ValueError in the block if the created modules have more than `limit` submodules and parameters in all."""
    count = 0

    def count_part(*_: object) -> None:
        nonlocal count
        count += 1
        if count > limit:
            raise ValueError(f"the network has more than {limit} layers, but the file has fewer weights")

    registrations = (register_module_module_registration_hook, register_module_parameter_registration_hook)
    hooks = [register(count_part) for register in registrations]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def find_class(task: str, name: str | None) -> Callable[..., TrainableModule]:
    """Return the class `name` of a task.

    A name of the form `package.module:Class` selects a subclass of the task's classes in an allowed package. Raises
    UserError if the task has no such class.
    """
    choices = list_classes(task)
    if name is not None and is_reference(name):
        return import_class(name, common_base(list(choices.values()), TrainableModule), "module")
    if name not in choices:
        raise UserError(f"The task {task} has no LightningModule {name!r}. Available: {', '.join(choices)}.")
    return choices[name]


def list_classes(task: str) -> dict[str, type[TrainableModule]]:
    """Return the classes in `model/module.py` of a task that a config or a model folder can name.

    Classes that `model/module.py` imports from outside the folder `model` are left out, so a model folder cannot select
    arbitrary code.
    """
    module = task_module(task, "model.module")
    classes = {name: value for name, value in vars(module).items() if isinstance(value, type)}
    return {
        name: value
        for name, value in classes.items()
        if issubclass(value, TrainableModule) and value.__module__.startswith(f"{module.__package__}.")
    }
