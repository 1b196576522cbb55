"""A module's hyperparameters to its optimizer and the schedule of its learning rate."""

from typing import Any

import pytorch_lightning as pl
from torch.optim import AdamW
from torch.optim.lr_scheduler import OneCycleLR


def adamw_one_cycle(module: pl.LightningModule, **cycle: Any) -> dict[str, Any]:
    """AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101) under one cycle (Smith 2018, arXiv:1803.09820).

    The rate rises to the module's `learning_rate` over the share `warm_up` of all steps, then falls to nothing;
    `weight_decay` is the third hyperparameter read. `cycle` holds further arguments of OneCycleLR.
    """
    chosen = module.hparams
    optimizer = AdamW(module.parameters(), chosen.learning_rate, weight_decay=chosen.weight_decay, fused=True)
    steps = module.trainer.estimated_stepping_batches
    schedule = OneCycleLR(optimizer, chosen.learning_rate, total_steps=steps, pct_start=chosen.warm_up, **cycle)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
