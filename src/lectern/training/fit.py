"""A module and its batches to the best weights it had on the validation data, and the history of how."""

import signal
import sys
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.utilities.exceptions import SIGTERMException

from lectern.errors import UserError
from lectern.training.callbacks import ClipNorm, KeepBest, Progress
from lectern.training.checkpointing import AtomicCheckpointIO, ExactResume, last_valid_checkpoint
from lectern.training.distributed import StopAllRanksOnSigterm, slurm_plugins
from lectern.training.history import History


def set_determinism(seed: int, threads: int) -> None:
    """Fix what the numbers depend on; to be called before the module is made."""
    torch.set_num_threads(threads)
    pl.seed_everything(seed, verbose=False)


def fit(
    module: pl.LightningModule,
    train: Any,
    validation: Any,
    *,
    folder: Path,
    trainer: dict[str, Any],
    best: dict[str, str],
    epochs: int,
    precision: str = "32-true",
    clip_norm: float | None = None,
    validations_per_epoch: int = 1,
    accumulate: int = 1,
    listen: Any = None,
    name: str = "training",
) -> History:
    """Train `module` in place and return its history; afterwards it holds its best weights.

    Goes on from `folder/last.ckpt` where a run was killed, to the bit. `best` is `{metric: validation_..., mode:
    min | max}`. Raises UserError where training diverges, where the metric does not exist, or where the machine
    lacks what the trainer asks for.
    """
    history, keep = History(listen=listen), KeepBest(**best)
    last = ExactResume(folder / "last.ckpt")
    callbacks = [ClipNorm(clip_norm), keep, history, Progress(name), StopAllRanksOnSigterm(), last]
    arguments = {key: value for key, value in trainer.items() if key != "threads"}
    try:
        runner = pl.Trainer(
            **arguments,
            max_epochs=epochs,
            precision=precision,
            accumulate_grad_batches=accumulate,
            val_check_interval=1.0 / validations_per_epoch,
            callbacks=callbacks,
            plugins=[AtomicCheckpointIO(), *slurm_plugins()],
            deterministic=trainer["accelerator"] == "cpu",
            num_sanity_val_steps=0,  # a resumed run has none either
            use_distributed_sampler=False,
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
    except (MisconfigurationException, ValueError, TypeError) as error:
        raise UserError(
            f"This machine cannot run this trainer: {error} Choose another: TRAINER=laptop, or trainer=..."
        ) from error
    checkpoint = last_valid_checkpoint(folder / "last.ckpt")
    try:
        runner.fit(module, train, validation, ckpt_path=checkpoint, weights_only=True)
    except SIGTERMException:  # Lightning would exit with 0, and DVC take it for success
        sys.exit(128 + signal.SIGTERM)
    keep.put_back(module)
    return history
