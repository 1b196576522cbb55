"""Create the optimizer and the learning-rate schedule of a Lightning module from the module's hyperparameters."""

import math
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch.optim import AdamW
from torch.optim.lr_scheduler import OneCycleLR


def one_cycle(first: int, last: int, warm_up: float, start: float = 0.0, head_start: int = 0) -> Callable[[int], float]:
    """Return a one-cycle schedule (Smith 2018, arXiv:1803.09820) for `LambdaLR`.

    The schedule is a function that maps a training step to a factor of the peak learning rate. The factor is zero
    outside `first <= step < last`. During the share `warm_up` of the steps from `first` to `last`, the factor rises
    from `start` to 1 along half a cosine. Then the factor falls to zero along half a cosine. With a `head_start` of 1,
    the first step has the learning rate of the second step, because a learning rate of zero would waste the first step.
    PyTorch's `OneCycleLR` is not used, because it cannot use different cycles for groups of parameters.
    """
    steps = last - first
    rise = max(1.0, warm_up * steps)
    fall = max(1.0, steps - rise)

    def factor(step: int) -> float:
        done = step - first
        if not 0 <= done < steps:
            return 0.0
        if done < rise:
            return start + (1 - start) * half_cosine((done + head_start) / rise)
        return half_cosine(1 + (done - rise) / fall)

    return factor


def half_cosine(position: float) -> float:
    """Return the value of a cosine wave that is 0 at position 0, 1 at position 1 and 0 at position 2."""
    return 0.5 - 0.5 * math.cos(math.pi * position)


def adamw_one_cycle(module: pl.LightningModule, **cycle: Any) -> OptimizerLRSchedulerConfig:
    """Return AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101) with PyTorch's one-cycle schedule.

    The module must have the hyperparameters `learning_rate`, `weight_decay` and `warm_up`. The learning rate rises to
    `learning_rate` during the share `warm_up` of all steps, and then falls almost to zero. The momentum falls while the
    learning rate rises, and rises while the learning rate falls. `cycle` contains further arguments of `OneCycleLR`.
    """
    chosen = module.hparams
    optimizer = AdamW(module.parameters(), chosen["learning_rate"], weight_decay=chosen["weight_decay"], fused=True)
    steps = max(2, int(module.trainer.estimated_stepping_batches))
    warm_up = max(chosen["warm_up"], 1.5 / steps)  # OneCycleLR divides by zero if the warm-up has one step
    schedule = OneCycleLR(optimizer, chosen["learning_rate"], total_steps=steps, pct_start=warm_up, **cycle)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
