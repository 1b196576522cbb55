"""Create the optimizer and the learning-rate schedule of a module from its hyperparameters."""

import math
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch.optim import AdamW
from torch.optim.lr_scheduler import OneCycleLR


def one_cycle(first: int, last: int, warm_up: float, start: float = 0.0, head_start: int = 0) -> Callable[[int], float]:
    """Return a function that maps a step to a factor of the peak learning rate, for `LambdaLR`.

    The schedule is the one-cycle schedule (Smith 2018, arXiv:1803.09820). The factor is zero outside `first <= step <
    last`. During the share `warm_up` of these steps, the factor rises from `start` to 1 along half a cosine. Then the
    factor falls to zero in the same way. With a `head_start` of 1, the first step has the rate of the second step.
    Otherwise a cycle that starts from zero would waste its first step.

    This function exists because PyTorch's `OneCycleLR` cannot use different cycles for groups of parameters.
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
    """Return 0 at position 0, 1 at position 1 and 0 again at position 2."""
    return 0.5 - 0.5 * math.cos(math.pi * position)


def adamw_one_cycle(module: pl.LightningModule, **cycle: Any) -> OptimizerLRSchedulerConfig:
    """Return AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101) with PyTorch's one-cycle schedule.

    Reads the hyperparameters `learning_rate`, `weight_decay` and `warm_up` of the module. The learning rate rises to
    `learning_rate` during the share `warm_up` of all steps, and then falls almost to zero. The momentum falls while the
    learning rate rises, and rises while the learning rate falls. `cycle` contains further arguments of `OneCycleLR`.
    """
    chosen = module.hparams
    optimizer = AdamW(module.parameters(), chosen["learning_rate"], weight_decay=chosen["weight_decay"], fused=True)
    steps = int(module.trainer.estimated_stepping_batches)
    schedule = OneCycleLR(optimizer, chosen["learning_rate"], total_steps=steps, pct_start=chosen["warm_up"], **cycle)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
