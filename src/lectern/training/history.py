"""What a module shows of each step and validation to rows: step, epoch, name, value."""

import math
from collections.abc import Callable

import pytorch_lightning as pl
import torch
import torch.distributed as dist

from lectern.artifacts.history_file import Record, TextSample
from lectern.errors import UserError
from lectern.training.distributed import rank_and_world_size


class History(pl.Callback):
    """Keeps all rows in memory and in the checkpoint, so that a killed run loses and doubles none.

    Training values (`module.step_metrics`) are averaged over `every` steps and over ranks, and named `train_...`;
    validation values are those that the module logs as `validation_...`. `listen` gets each batch of new rows
    on rank 0 after a validation and at the end of an epoch.
    """

    def __init__(self, every: int = 50, listen: Callable[[list[Record], list[TextSample]], None] | None = None):
        self.every, self.listen = every, listen
        self.records: list[Record] = []
        self.text_samples: list[TextSample] = []
        self.resume_state: dict[str, torch.Tensor] = {}  # sums since the last row, a rank each; see resume.ExactResume
        self.told = (0, 0)  # how many of rows and shown the listener has had

    def state_dict(self) -> dict:
        return {
            "records": [tuple(row) for row in self.records],
            "text_samples": [tuple(shown) for shown in self.text_samples],
        }

    def load_state_dict(self, state: dict) -> None:
        self.records = [Record(*row) for row in state["records"]]
        self.text_samples = [TextSample(*shown) for shown in state["text_samples"]]

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx) -> None:
        loss_weight = (
            batch[-1] if rank_and_world_size()[1] > 1 else 1
        )  # as of the loss: the average over ranks is the mean over items
        values = {name: value.detach().float() * loss_weight for name, value in module.step_metrics.items()}
        for name, value in {**values, "steps": torch.ones(())}.items():
            self.resume_state[name] = self.resume_state[name] + value if name in self.resume_state else value
        if trainer.global_step % self.every == 0 or batch_idx + 1 == trainer.num_training_batches:
            self.close_interval(trainer)

    def close_interval(self, trainer) -> None:
        """Average the interval's sums over its steps and over ranks, and start the next."""
        steps = self.resume_state.pop("steps").item()
        for name, total in self.resume_state.items():
            if rank_and_world_size()[1] > 1:
                dist.all_reduce(total)
            self.add(trainer, f"train_{name}", total.item() / steps / rank_and_world_size()[1])
        self.resume_state = {}

    def on_validation_end(self, trainer, module) -> None:
        if trainer.state.fn != "fit":
            return
        for name, value in sorted(trainer.callback_metrics.items()):
            if name.startswith("validation_"):
                self.add(trainer, name, float(value))
        if hasattr(module, "text_samples"):
            now = (trainer.global_step, trainer.current_epoch)
            self.text_samples += [TextSample(*now, name, text) for name, text in module.text_samples().items()]
        self.tell(trainer)

    def on_train_epoch_end(self, trainer, module) -> None:
        self.tell(trainer)

    def add(self, trainer, name: str, value: float) -> None:
        if not math.isfinite(value):
            raise UserError(
                f"{name} became {value} at step {trainer.global_step}: training has diverged. "
                "Lower the learning rate, or clip gradients (fit.<budget>.clip_norm)."
            )
        self.records.append(Record(trainer.global_step, trainer.current_epoch, name, value))

    def tell(self, trainer) -> None:
        if self.listen and trainer.is_global_zero:
            self.listen(self.records[self.told[0] :], self.text_samples[self.told[1] :])
        self.told = (len(self.records), len(self.text_samples))
