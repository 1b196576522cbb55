"""Record the metrics and text samples during a training."""

import math
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
import torch
import torch.distributed as dist

from lectern.artifacts.history_file import Record, TextSample
from lectern.errors import UserError
from lectern.training.distributed import rank_and_world_size
from lectern.training.module import TrainableModule


class History(pl.Callback):
    """Keep all records in memory and in each checkpoint, so that a resumed training neither loses nor repeats a record.

    Training metrics are averaged over intervals of `interval` training steps and over ranks, and recorded as
    `train_<name>`. Validation metrics are the metrics that the module logs as `validation_<name>`. On rank 0,
    `on_records` is called with the new records and text samples after each validation and at the end of each epoch.
    """

    def __init__(self, interval: int = 50, on_records: Callable[[list[Record], list[TextSample]], None] | None = None):
        self.interval, self.on_records = interval, on_records
        self.records: list[Record] = []
        self.text_samples: list[TextSample] = []
        self.stopped: dict[str, Any] | None = None  # step, epoch and reason of an early stop, set after the training
        self.resume_state: dict[str, torch.Tensor] = {}  # sums of this rank's training metrics
        self.reported = (0, 0)  # numbers of records and text samples already given to `on_records`

    def state_dict(self) -> dict[str, Any]:
        return {
            "records": [tuple(record) for record in self.records],
            "text_samples": [tuple(sample) for sample in self.text_samples],
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.records = [Record(*values) for values in state_dict["records"]]
        self.text_samples = [TextSample(*values) for values in state_dict["text_samples"]]

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, TrainableModule)
        # With the loss weight as a factor, the average over ranks equals the mean over all items of the batch.
        loss_weight = batch[-1] if rank_and_world_size()[1] > 1 else 1
        values = {name: value.detach().float() * loss_weight for name, value in pl_module.step_metrics.items()}
        for name, value in {**values, "steps": torch.ones(())}.items():
            self.resume_state[name] = self.resume_state[name] + value if name in self.resume_state else value
        if trainer.global_step % self.interval == 0 or batch_idx + 1 == trainer.num_training_batches:
            self.close_interval(trainer)

    def close_interval(self, trainer: pl.Trainer) -> None:
        """Record the averages of the training metrics over the interval and over ranks, and start the next interval."""
        steps = self.resume_state.pop("steps").item()
        for name, total in self.resume_state.items():
            if rank_and_world_size()[1] > 1:
                dist.all_reduce(total)
            self.add_record(trainer, f"train_{name}", total.item() / steps / rank_and_world_size()[1])
        self.resume_state = {}

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.state.fn != "fit":
            return
        for name, value in sorted(trainer.callback_metrics.items()):
            if name.startswith("validation_"):
                self.add_record(trainer, name, float(value))
        assert isinstance(pl_module, TrainableModule)
        now = (trainer.global_step, trainer.current_epoch)
        self.text_samples += [TextSample(*now, name, text) for name, text in pl_module.text_samples().items()]
        self.report_new_records(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.report_new_records(trainer)

    def add_record(self, trainer: pl.Trainer, name: str, value: float) -> None:
        """Append the value of a metric at the current training step. Raises UserError if the value is not finite."""
        if not math.isfinite(value):
            raise UserError(
                f"{name} became {value} at step {trainer.global_step}: training has diverged. "
                "Lower the learning rate, or clip gradients (fit.<budget>.clip_norm)."
            )
        self.records.append(Record(trainer.global_step, trainer.current_epoch, name, value))

    def report_new_records(self, trainer: pl.Trainer) -> None:
        """Call `on_records` with the records and text samples that were added after the last call of `on_records`."""
        if self.on_records and trainer.is_global_zero:
            self.on_records(self.records[self.reported[0] :], self.text_samples[self.reported[1] :])
        self.reported = (len(self.records), len(self.text_samples))
