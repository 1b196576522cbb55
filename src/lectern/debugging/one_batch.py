"""Train on a single batch until the training loss is near zero."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytorch_lightning as pl
from torch import Tensor

from lectern.training.loader import ResumableLoader
from lectern.training.module import TrainableModule


class OneBatch(ResumableLoader):
    """A loader that yields the first batch of another loader `count` times."""

    def __init__(self, loader: Any, count: int):
        super().__init__()
        self.loader, self.count = loader, count
        self.batch = next(iter(loader))
        self.items = loader.items

    def describe_items(self, items: Tensor | np.ndarray) -> str:
        return str(self.loader.describe_items(items))

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Any]:
        return iter([self.batch] * self.count)


class StopAtLoss(pl.Callback):
    """Stop the training when the training loss is at most `limit`."""

    def __init__(self, limit: float):
        self.limit = limit
        self.first = self.last = math.inf
        self.steps = 0

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, TrainableModule)
        self.last, self.steps = pl_module.step_metrics["loss"].item(), self.steps + 1
        self.first = self.last if self.steps == 1 else self.first
        trainer.should_stop = self.last <= self.limit
