"""A module and its batches to the best weights it had on the validation data, and the history of how."""

import signal
import sys
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.utilities.exceptions import SIGTERMException
from pytorch_lightning.utilities.rank_zero import rank_zero_only
from torch.nn.utils import clip_grad_norm_
from tqdm.auto import tqdm

from lectern.config import nearest
from lectern.errors import UserError
from lectern.history import History
from lectern.ranks import EndTogether, environment
from lectern.resume import AtomicCheckpointIO, ExactResume, last_good

SIGNS = {"min": -1, "max": 1}  # of a metric's better direction


def is_first_process() -> bool:
    """Whether this process is rank 0, which alone writes; known before the processes are joined."""
    return rank_zero_only.rank == 0


def start(seed: int, threads: int) -> None:
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
    callbacks = [ClipNorm(clip_norm), keep, history, Progress(name), EndTogether(), last]
    arguments = {key: value for key, value in trainer.items() if key != "threads"}
    try:
        runner = pl.Trainer(
            **arguments,
            max_epochs=epochs,
            precision=precision,
            accumulate_grad_batches=accumulate,
            val_check_interval=1.0 / validations_per_epoch,
            callbacks=callbacks,
            plugins=[AtomicCheckpointIO(), *environment()],
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
    checkpoint = last_good(folder / "last.ckpt")
    try:
        runner.fit(module, train, validation, ckpt_path=checkpoint, weights_only=True)
    except SIGTERMException:  # Lightning would exit with 0, and DVC take it for success
        sys.exit(128 + signal.SIGTERM)
    keep.put_back(module)
    return history


class KeepBest(pl.Callback):
    """Keeps the weights of the best validation in memory and in the checkpoint, never out of step with it."""

    def __init__(self, metric: str, mode: str):
        if mode not in SIGNS:
            raise UserError(f"best.mode is {mode!r}{nearest(mode, list(SIGNS))} It is one of: {', '.join(SIGNS)}.")
        self.metric, self.sign = metric, SIGNS[mode]
        self.value: float | None = None
        self.weights: dict[str, torch.Tensor] = {}

    def state_dict(self) -> dict:
        return {"value": self.value, "weights": self.weights}

    def load_state_dict(self, state: dict) -> None:
        self.value, self.weights = state["value"], state["weights"]

    def on_validation_end(self, trainer, module) -> None:
        if trainer.state.fn != "fit":
            return
        if self.metric not in trainer.callback_metrics:
            shown = sorted(name for name in trainer.callback_metrics if name.startswith("validation_"))
            raise UserError(
                f"best.metric: no {self.metric!r} is measured{nearest(self.metric, shown)} There is: {shown}"
            )
        value = float(trainer.callback_metrics[self.metric])
        if self.value is None or self.sign * value > self.sign * self.value:
            self.value = value
            self.weights = {name: tensor.detach().cpu().clone() for name, tensor in module.state_dict().items()}

    def put_back(self, module: pl.LightningModule) -> None:
        module.load_state_dict(self.weights)


class ClipNorm(pl.Callback):
    """Clips the gradient's norm, and shows the norm and the share of steps in which it acted."""

    def __init__(self, limit: float | None):
        self.limit = limit

    def on_before_optimizer_step(self, trainer, module, optimizer) -> None:
        if self.limit is None:
            return
        norm = clip_grad_norm_(module.parameters(), self.limit)
        module.watched |= {"gradient_norm": norm, "clipped": (norm > self.limit).float()}


class Progress(pl.Callback):
    """One line for the whole training: how far, how long still, the last loss and validation."""

    def __init__(self, name: str):
        self.name, self.bar = name, None

    def on_train_start(self, trainer, module) -> None:
        total = trainer.max_epochs * trainer.num_training_batches
        quiet = not sys.stderr.isatty()
        self.bar = tqdm(
            total=total,
            initial=trainer.fit_loop.total_batch_idx + 1,
            desc=self.name,
            unit="step",
            disable=not trainer.is_global_zero,
            mininterval=30 if quiet else 0.2,  # a log file gets a line now and then
            dynamic_ncols=True,
        )

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx) -> None:
        self.bar.update()

    def on_validation_end(self, trainer, module) -> None:
        if self.bar is not None:
            values = {
                name: f"{float(v):.4g}"
                for name, v in trainer.callback_metrics.items()
                if name.startswith("validation_")
            }
            self.bar.set_postfix(
                {"epoch": f"{trainer.current_epoch + 1}/{trainer.max_epochs}", **values}, refresh=False
            )

    def on_train_end(self, trainer, module) -> None:
        self.bar.close()
