"""Stop a training at the first loss, gradient or weight that is not finite, before a checkpoint is saved."""

import math
from pathlib import Path
from typing import Any, NoReturn

import pytorch_lightning as pl
import torch.distributed as dist
from torch import Tensor
from torch.nn.utils import get_total_norm
from torch.optim import Optimizer

from lectern.errors import UserError
from lectern.training.distributed import rank_and_world_size
from lectern.training.first_nonfinite import StepStart, find_nonfinite, locate_in_steps
from lectern.training.module import TrainableModule

REMEDY = (
    "Lower the learning rate, or clip gradients (fit.<budget>.clip_norm). If the training still diverges, "
    "search the items of the batch for damaged values."
)


class StopOnDivergence(pl.Callback):
    """Check the loss and the gradient of each step before the optimizer step, and the weights before each checkpoint.

    The norm of all gradients is finite only if every gradient is finite. The same norm is used to clip the gradients.
    If the loss or the norm is not finite, the first layer and the items of the batch are searched. With float16,
    gradients are not checked, because the gradient scaler skips gradients that are not finite.
    """

    def __init__(self, checkpoint: Path):
        self.checkpoint = checkpoint
        self.gradient_norm: Tensor | None = None  # norm of the gradient in the last training step
        # the batches whose gradients are accumulated for the next optimizer step, with the states before each batch
        self.steps: list[StepStart] = []
        self.loss: Tensor | None = None  # sum of the losses of the batches in `steps`

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.parameters = [parameter for parameter in pl_module.parameters() if parameter.requires_grad]

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, TrainableModule)
        loader: Any = trainer.train_dataloader
        self.steps.append(StepStart(batch, batch_idx, loader.items, pl_module.resume_state))

    def on_before_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule, loss: Tensor) -> None:
        self.loss = loss.detach() if self.loss is None else self.loss + loss.detach()

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Optimizer
    ) -> None:
        """Compute the norm of the gradient.

        Raises UserError on every rank if the loss or a gradient of any rank is not finite.
        """
        self.gradient_norm = get_total_norm([p.grad for p in self.parameters if p.grad is not None])
        if getattr(trainer.precision_plugin, "scaler", None) is None and self.is_not_finite(trainer):
            self.report(trainer, pl_module)
        self.steps, self.loss = [], None

    def is_not_finite(self, trainer: pl.Trainer) -> bool:
        """Return whether the loss or the norm of the gradient is not finite on any rank.

        The norm can overflow although all gradients are finite.
        """
        assert self.gradient_norm is not None and self.loss is not None
        total = self.gradient_norm + self.loss
        if rank_and_world_size()[1] > 1:
            dist.all_reduce(total := total.float())
        return not math.isfinite(total.item())

    def report(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Raise UserError with the first layer and the items of the batch if the loss or a gradient is not finite."""
        assert isinstance(pl_module, TrainableModule) and self.loss is not None
        gradients = {name: value.grad for name, value in pl_module.named_parameters() if value.grad is not None}
        if gather_first(None if self.loss.isfinite() and not find_nonfinite(gradients) else "not finite") is None:
            return
        located = locate_in_steps(trainer, pl_module, self.steps)
        place = gather_first(located and self.describe_place(trainer, *located))
        self.fail(trainer, place or self.describe_place(trainer, "the gradient is not finite", self.steps[-1].items))

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.state.fn == "fit":
            self.check_weights(trainer, pl_module)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self.check_weights(trainer, pl_module)

    def check_weights(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Raise UserError if a weight is not finite, so that no checkpoint contains a weight that is not finite."""
        if name := find_nonfinite(pl_module.state_dict()):
            loader: Any = trainer.train_dataloader
            self.fail(trainer, self.describe_place(trainer, f"the weight {name} is not finite", loader.items))

    def describe_place(self, trainer: pl.Trainer, place: str, items: Any) -> str:
        loader: Any = trainer.train_dataloader
        return f"{place}. The batch has the {loader.describe_items(items)}."

    def fail(self, trainer: pl.Trainer, place: str) -> NoReturn:
        kept = f" The last checkpoint, {self.checkpoint}, was kept." if self.checkpoint.exists() else ""
        step = trainer.global_step + bool(self.steps)  # global_step does not include the current step
        raise UserError(f"Training has diverged at step {step}: {place} {REMEDY}{kept}")


def gather_first(text: str | None) -> str | None:
    """Return the text of the lowest rank whose text is not None, or None if no rank has a text."""
    texts: list[str | None] = [text] * rank_and_world_size()[1]
    if len(texts) > 1:
        dist.all_gather_object(texts, text)
    return next((text for text in texts if text), None)
