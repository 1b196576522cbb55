"""Write and load a model folder. A model folder contains the weights, and the metadata to rebuild the module."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from lectern.artifacts.model_metadata import FORMAT, read_metadata
from lectern.atomic import atomic_file, write_json
from lectern.errors import UserError
from lectern.task_modules import task_module
from lectern.training.module import TrainableModule


def save_model(module: pl.LightningModule, folder: Path) -> None:
    """Write `weights.safetensors` and `module.json`.

    The files contain no pickle, path, time or run ID, so the same inputs give the same bytes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: value.detach().cpu().contiguous() for name, value in sorted(module.state_dict().items())}
    try:
        with atomic_file(folder / "weights.safetensors") as part:
            part.touch()
            permissions = part.stat().st_mode
            save_file(weights, part)
            # safetensors makes the file readable only for its owner, but several users can share a checkout
            part.chmod(permissions)
    # safetensors raises its own error instead of an OSError, for example if the disk is full
    except SafetensorError as error:
        raise UserError(
            f"The weights could not be written to {folder}: {error}. Free some space and run the same command again."
        ) from error
    write_json(folder / "module.json", create_metadata(module))


def create_metadata(module: pl.LightningModule) -> dict[str, Any]:
    """Return the content of `module.json`.

    The task is the name of the package that contains the class of the module.
    """
    return {
        "format": FORMAT,
        "task": type(module).__module__.split(".")[-3],
        "class": type(module).__name__,
        "hyperparameters": dict(module.hparams),
    }


def load_model(folder: Path) -> TrainableModule:
    """Return the module of a model folder in evaluation mode. Only the code of the task's class is executed.

    Raises UserError if the folder is missing, incomplete, damaged or of another format.
    """
    metadata = read_metadata(folder)
    module = find_class(metadata["task"], metadata["class"])(**metadata["hyperparameters"])
    try:
        module.load_state_dict(load_file(folder / "weights.safetensors"))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise UserError(f"{folder}/weights.safetensors does not match module.json: {error}") from error
    return module.eval()


def find_class(task: str, name: str | None) -> Callable[..., TrainableModule]:
    """Return a class that the task's `model/module.py` defines.

    Classes that this module only imports are rejected, so a model folder cannot select other code. Raises UserError if
    this module does not define the class.
    """
    module = task_module(task, "model.module")
    choices = {
        key: value
        for key, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, TrainableModule) and value.__module__ == module.__name__
    }
    if name not in choices:
        raise UserError(f"{module.__name__} has no LightningModule {name!r}. Available: {', '.join(choices)}.")
    return choices[name]
