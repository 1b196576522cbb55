"""Train a module, restore the weights with the best validation result, and return the history of the training."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.utilities.exceptions import SIGTERMException

from lectern.artifacts.history_file import Record, TextSample
from lectern.config import PositiveFloat, PositiveInt, Threads
from lectern.errors import UserError
from lectern.training.callbacks import ClipNorm, KeepBest, Progress
from lectern.training.checkpointing import AtomicCheckpointIO, ExactResume, last_valid_checkpoint
from lectern.training.distributed import slurm_plugins
from lectern.training.divergence import StopOnDivergence
from lectern.training.history import History
from lectern.training.module import TrainableModule
from lectern.training.stop_signals import StopOnSignal

Precision = Literal["32-true", "bf16-mixed", "16-mixed"]  # names that Lightning uses


def set_determinism(seed: int, threads: Threads) -> None:
    """Set the random seed and the number of threads. `set_determinism` must be called before the module is created."""
    torch.set_num_threads(threads)
    pl.seed_everything(seed, verbose=False)


def fit(
    module: TrainableModule,
    train: Any,
    validation: Any,
    *,
    folder: Path,
    trainer: dict[str, Any],
    best: dict[str, Any],
    epochs: PositiveInt,
    precision: Precision = "32-true",
    clip_norm: PositiveFloat | None = None,
    validations_per_epoch: PositiveInt = 1,
    accumulate: PositiveInt = 1,
    on_records: Callable[[list[Record], list[TextSample]], None] | None = None,
    name: str = "training",
) -> History:
    """Train `module` in place and return the history of the training.

    At the end, the module has the weights with the best validation result. `best` is `{metric: validation_<name>, mode:
    min or max}` and defines which result is best. A killed training resumes from `folder/last.ckpt` and produces the
    same bytes as an uninterrupted training. After SIGINT, SIGTERM or SIGHUP, the training saves a checkpoint and exits
    with 128 plus the number of the signal. Raises UserError if the training diverges, if the metric in `best` does not
    exist, or if this machine cannot run the trainer.
    """
    history, keep_best = History(on_records=on_records), KeepBest(**best)
    check, stop = StopOnDivergence(folder / "last.ckpt"), StopOnSignal()
    exact_resume = ExactResume(folder / "last.ckpt", stop)
    callbacks = [check, ClipNorm(clip_norm, check), keep_best, history, Progress(name), stop, exact_resume]
    runner = create_trainer(
        trainer,
        callbacks,
        max_epochs=epochs,
        precision=precision,
        accumulate_grad_batches=accumulate,
        val_check_interval=1.0 / validations_per_epoch,
    )
    checkpoint = last_valid_checkpoint(folder / "last.ckpt")
    try:
        with stop.handle_signals():
            runner.fit(module, train, validation, ckpt_path=checkpoint, weights_only=True)
    except SIGTERMException:  # Lightning itself would exit with code 0, and DVC treats code 0 as success
        stop.report_saved_step()
        sys.exit(128 + stop.received)
    keep_best.restore_best_weights(module)
    return history


def create_trainer(trainer: dict[str, Any], callbacks: list[pl.Callback], **options: Any) -> pl.Trainer:
    """Create Lightning's Trainer from a trainer config. Raises UserError if this machine cannot run the trainer."""
    arguments = {key: value for key, value in trainer.items() if key != "threads"}
    try:
        return pl.Trainer(
            **arguments,
            **options,
            callbacks=callbacks,
            plugins=[AtomicCheckpointIO(), *slurm_plugins()],
            deterministic=trainer["accelerator"] == "cpu",
            num_sanity_val_steps=0,  # a resumed training runs no sanity check, so a new training runs none either
            use_distributed_sampler=False,
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
    except (MisconfigurationException, ValueError, TypeError) as error:
        raise UserError(
            f"This machine cannot run this trainer: {error} "
            "Select a different trainer with TRAINER=laptop or trainer=<name>."
        ) from error
