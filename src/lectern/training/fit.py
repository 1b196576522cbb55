"""Train a module, restore the weights with the best validation result, and return the history of the training."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
from lectern.training.distributed import is_first_process, slurm_plugins
from lectern.training.divergence import StopOnDivergence
from lectern.training.early_stopping import StopEarly, describe_stop
from lectern.training.extra_callbacks import create_callbacks
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
    early_stopping: dict[str, Any] | None = None,
    callbacks: list[dict[str, Any]] | None = None,
    on_records: Callable[[list[Record], list[TextSample]], None] | None = None,
    name: str = "training",
) -> History:
    """Train `module` in place and return the history of the training.

    At the end, the module has the weights with the best validation result. `best` is `{metric: validation_<name>, mode:
    min or max}` and defines which result is best. `early_stopping` contains the arguments of `StopEarly`. `callbacks`
    contains the classes and arguments of further Lightning callbacks. A killed training resumes from `folder/last.ckpt`
    and produces the same bytes as an uninterrupted training. After SIGINT, SIGTERM or SIGHUP, the training saves a
    checkpoint and exits with 128 plus the number of the signal. Raises UserError if the training diverges, if the
    metric in `best` does not exist, or if this machine cannot run the trainer.
    """
    history, keep_best = History(on_records=on_records), KeepBest(**best)
    check, stop = StopOnDivergence(folder / "last.ckpt"), StopOnSignal()
    exact_resume = ExactResume(folder / "last.ckpt", stop)
    early = [StopEarly(**early_stopping, keep_best=keep_best, history=history)] if early_stopping else []
    own = [check, ClipNorm(clip_norm, check), keep_best, history, *early, Progress(name)]
    runner = create_trainer(
        trainer,
        [*own, *create_callbacks(callbacks or []), stop, exact_resume],
        max_epochs=epochs,
        precision=precision,
        accumulate_grad_batches=accumulate,
        val_check_interval=1.0 / validations_per_epoch,
    )
    checkpoint = last_valid_checkpoint(folder / "last.ckpt")
    try:
        with stop.handle_signals(), explain_rejection():
            runner.fit(module, train, validation, ckpt_path=checkpoint, weights_only=True)
    except SIGTERMException:  # Lightning itself would exit with code 0, and DVC treats code 0 as success
        stop.report_saved_step()
        sys.exit(128 + stop.received)
    keep_best.restore_best_weights(module)
    report_stop(early, history)
    return history


@contextmanager
def explain_rejection() -> Iterator[None]:
    """Raise UserError if Lightning rejects the combination of options and callbacks of a training in the block."""
    try:
        yield
    except MisconfigurationException as error:
        raise UserError(f"Lightning rejects this training: {error} Change the config of the model.") from error


def report_stop(early: list[StopEarly], history: History) -> None:
    """If the training was stopped early, add the step and the reason to the history, and print them."""
    history.stopped = early[0].stopped if early else None
    if history.stopped and is_first_process():
        print(f"lectern: the training was {describe_stop(history.stopped)}", file=sys.stderr)


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
