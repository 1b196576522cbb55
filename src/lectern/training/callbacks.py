"""TODO: lectern.training.callbacks."""

import sys

import pytorch_lightning as pl
import torch
from torch.nn.utils import clip_grad_norm_
from tqdm.auto import tqdm

from lectern.config import nearest
from lectern.errors import UserError

SIGNS = {"min": -1, "max": 1}  # of a metric's better direction


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
        module.step_metrics |= {"gradient_norm": norm, "clipped": (norm > self.limit).float()}


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
