"""Measure the operations of training steps with PyTorch's profiler."""

import time
from typing import Any

import pytorch_lightning as pl
import torch
from torch.profiler import ProfilerActivity


class ProfileSteps(pl.Callback):
    """Profile `steps` training steps after `warm_up` steps, including the loading of their batches. Then stop."""

    def __init__(self, warm_up: int, steps: int):
        self.warm_up, self.steps = warm_up, steps
        self.count = 0
        self.seconds = 0.0
        gpu = [ProfilerActivity.CUDA] if torch.cuda.is_available() else []
        self.profiler = torch.profiler.profile(activities=[ProfilerActivity.CPU, *gpu])

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.warm_up == 0:
            self.start()

    def start(self) -> None:
        self.profiler.start()
        self.seconds = -time.perf_counter()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.count += 1
        if self.count == self.warm_up:
            self.start()
        elif self.count == self.warm_up + self.steps:
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            self.seconds += time.perf_counter()
            self.profiler.stop()
            trainer.should_stop = True

    def format_table(self, rows: int) -> str:
        """Return a table of the operations that take the most time."""
        order = "self_device_time_total" if torch.cuda.is_available() else "self_cpu_time_total"
        return str(self.profiler.key_averages().table(sort_by=order, row_limit=rows, max_name_column_width=40))
