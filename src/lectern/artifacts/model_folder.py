"""A module to a model folder and back: weights.safetensors and module.json, whose bytes depend on values only."""

from pathlib import Path

import pytorch_lightning as pl
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from lectern.artifacts.model_metadata import FORMAT, read_metadata
from lectern.atomic import atomic_file, write_json
from lectern.errors import UserError
from lectern.task_modules import task_module


def save_model(module: pl.LightningModule, folder: Path) -> None:
    """Write the module's weights and what rebuilds it. No pickle, path, time or run id: same inputs, same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: value.detach().cpu().contiguous() for name, value in sorted(module.state_dict().items())}
    try:
        with atomic_file(folder / "weights.safetensors") as part:
            save_file(weights, part)
    except SafetensorError as error:  # which an OSError is to it
        raise UserError(f"The weights could not be written to {folder}: {error}. Free some space and go on.") from error
    write_json(folder / "module.json", describe(module))


def describe(module: pl.LightningModule) -> dict:
    """What `module.json` holds; the task is the room that the class lives in."""
    return {
        "format": FORMAT,
        "task": type(module).__module__.split(".")[-3],
        "class": type(module).__name__,
        "hyperparameters": dict(module.hparams),
    }


def load_model(folder: Path) -> pl.LightningModule:
    """The module of a model folder, in evaluation mode; loading runs no code but the room's own class.

    Raises UserError for a folder that is missing, incomplete, altered, or of a later format.
    """
    described = read_metadata(folder)
    module = find_class(described["task"], described["class"])(**described["hyperparameters"])
    try:
        module.load_state_dict(load_file(folder / "weights.safetensors"))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise UserError(f"{folder}/weights.safetensors does not fit its module.json: {error}") from error
    return module.eval()


def find_class(task: str, name: str) -> type[pl.LightningModule]:
    """The class of that name in the task's `module.py`, and nowhere else: a model folder cannot name code to run."""
    module = task_module(task, "model.module")
    found = getattr(module, name, None)
    own = isinstance(found, type) and issubclass(found, pl.LightningModule) and found.__module__ == module.__name__
    if not own:
        choices = [key for key, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__]
        raise UserError(
            f"lectern.tasks.{task}.model.module has no LightningModule {name!r}. It has: {', '.join(choices)}."
        )
    return found
