"""Check the trainer section of a config, and select the keys of this section that can change the weights."""

import inspect
from typing import Any, Literal

import pytorch_lightning as pl

from lectern.config import NonNegativeInt, PositiveFraction, PositiveInt, Threads, check_keys, check_value, check_values
from lectern.errors import UserError

PLACEMENT = ("accelerator", "devices", "num_nodes", "strategy", "threads")  # keys that select where a training runs
RANGES: dict[str, Any] = {  # values that Lightning's annotations allow, although a training cannot use them
    "devices": PositiveInt | Literal[-1, "auto"] | list[NonNegativeInt],
    "num_nodes": PositiveInt,
    "threads": Threads,
    "limit_train_batches": PositiveInt | PositiveFraction,
    "limit_val_batches": PositiveInt | PositiveFraction,
}
IN_FIT_SECTION = {  # maps a key of the Trainer to the `fit` key with the same meaning
    "max_epochs": "epochs",
    "precision": "precision",
    "accumulate_grad_batches": "accumulate",
    "val_check_interval": "validations_per_epoch",
    "gradient_clip_val": "clip_norm",
}
SET_BY_LECTERN = (
    "callbacks", "plugins", "deterministic", "num_sanity_val_steps", "use_distributed_sampler", "logger",
    "enable_progress_bar", "enable_model_summary",
)  # fmt: skip


PREVENT_EXACT_RESUME = ("fast_dev_run", "max_steps", "max_time", "min_epochs", "min_steps")


def check_trainer(trainer: dict[str, Any], where: str) -> None:
    """Check that a trainer config contains `threads` and otherwise only arguments of Lightning's Trainer.

    Raises UserError if a key is unknown, has a wrong value, or belongs to another section.
    """
    check_keys(trainer, ["threads", *inspect.signature(pl.Trainer).parameters], where)
    for key in trainer:
        if key in IN_FIT_SECTION:
            raise UserError(
                f"{where}: trainer.{key} belongs to the model config: model.fit.<budget>.{IN_FIT_SECTION[key]}."
            )
        if key in SET_BY_LECTERN:
            raise UserError(f"{where}: Lectern sets trainer.{key} itself. Remove this key.")
        if key in PREVENT_EXACT_RESUME:
            raise UserError(
                f"{where}: trainer.{key} is not supported, because a killed training could not resume exactly. Set the "
                "length of the training with model.fit.<budget>.epochs."
            )
    if "threads" not in trainer:
        raise UserError(f"{where}: missing key 'threads', the number of threads of each process.")
    check_values(pl.Trainer, trainer, where)
    for key, value in trainer.items():
        if key in RANGES:
            check_value(key, value, RANGES[key], where)


def numeric_keys(trainer: dict[str, Any]) -> dict[str, Any]:
    """Return the keys that can change the weights, for example `limit_train_batches`."""
    return {key: value for key, value in trainer.items() if key not in PLACEMENT}
