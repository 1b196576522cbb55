"""Define Lightning callbacks that keep the best weights, clip gradients and show progress."""

import sys
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from torch.nn.utils import clip_grads_with_norm_
from torch.optim import Optimizer
from tqdm.auto import tqdm

from lectern.config import nearest
from lectern.errors import UserError
from lectern.training.divergence import StopOnDivergence
from lectern.training.module import TrainableModule

SIGNS = {"min": -1, "max": 1}  # maps `mode` to the sign that turns a better metric into a greater number


class KeepBest(pl.Callback):
    """Keep a copy of the weights with the best validation result, in memory and in each checkpoint."""

    def __init__(self, metric: str, mode: Literal["min", "max"]):
        self.metric, self.sign = metric, SIGNS[mode]
        self.value: float | None = None
        self.weights: dict[str, torch.Tensor] = {}

    def state_dict(self) -> dict[str, Any]:
        return {"value": self.value, "weights": self.weights}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.value, self.weights = state_dict["value"], state_dict["weights"]

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.state.fn != "fit":
            return
        if self.metric not in trainer.callback_metrics:
            measured = sorted(name for name in trainer.callback_metrics if name.startswith("validation_"))
            raise unknown_metric(self.metric, measured)
        value = float(trainer.callback_metrics[self.metric])
        if self.value is None or self.sign * value > self.sign * self.value:
            self.value = value
            self.weights = {name: tensor.detach().cpu().clone() for name, tensor in pl_module.state_dict().items()}

    def restore_best_weights(self, module: pl.LightningModule) -> None:
        if self.value is None:
            raise UserError(
                "The training ended without a validation, so there are no best weights. Train for more steps, or "
                "remove the keys of the trainer that prevent a validation, such as check_val_every_n_epoch."
            )
        module.load_state_dict(self.weights)


def unknown_metric(metric: str, available: list[str]) -> UserError:
    return UserError(
        f"best.metric: unknown metric {metric!r}{nearest(metric, available)} Available: {', '.join(available)}."
    )


class ClipNorm(pl.Callback):
    """Clip the norm of the gradient, and record the norm and how often the norm was clipped.

    `check` is the callback that computes the norm of the gradient in each training step.
    """

    def __init__(self, limit: float | None, check: StopOnDivergence):
        self.limit, self.check = limit, check

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Optimizer
    ) -> None:
        if self.limit is None:
            return
        norm = self.check.gradient_norm
        assert isinstance(pl_module, TrainableModule) and norm is not None
        clip_grads_with_norm_(pl_module.parameters(), self.limit, norm)
        pl_module.step_metrics |= {"gradient_norm": norm, "clipped": (norm > self.limit).float()}


class Progress(pl.Callback):
    """Show one progress bar for the complete training, with the results of the last validation."""

    def __init__(self, name: str):
        self.name = name
        self.bar: tqdm[Any] | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert trainer.max_epochs is not None
        self.bar = tqdm(
            total=int(trainer.max_epochs * trainer.num_training_batches),
            initial=trainer.fit_loop.total_batch_idx + 1,
            desc=self.name,
            unit="step",
            disable=not trainer.is_global_zero,
            # seconds between two updates; long for a log file, in which each update is a line
            mininterval=0.2 if sys.stderr.isatty() else 30,
            dynamic_ncols=True,
        )

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self.bar is not None:
            self.bar.update()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.bar is None:
            return
        results = {
            name: f"{float(value):.4g}"
            for name, value in trainer.callback_metrics.items()
            if name.startswith("validation_")
        }
        epoch = f"{trainer.current_epoch + 1}/{trainer.max_epochs}"
        self.bar.set_postfix({"epoch": epoch, **results}, refresh=False)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.close()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self.close()  # so that the error message starts on a new line

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()
