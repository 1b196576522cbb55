"""What a module shows of each step and validation to rows: step, epoch, name, value."""

import math
from collections.abc import Callable

import pytorch_lightning as pl
import torch
import torch.distributed as dist

from lectern.batches import place
from lectern.errors import UserError
from lectern.rows import Row, Shown


class History(pl.Callback):
    """Keeps all rows in memory and in the checkpoint, so that a killed run loses and doubles none.

    Training values (`module.watched`) are averaged over `every` steps and over ranks, and named `train_...`;
    validation values are those that the module logs as `validation_...`. `listen` gets each batch of new rows
    on rank 0 after a validation and at the end of an epoch.
    """

    def __init__(self, every: int = 50, listen: Callable[[list[Row], list[Shown]], None] | None = None):
        self.every, self.listen = every, listen
        self.rows: list[Row] = []
        self.shown: list[Shown] = []
        self.carried: dict[str, torch.Tensor] = {}  # sums since the last row, a rank each; see resume.ExactResume
        self.told = (0, 0)  # how many of rows and shown the listener has had

    def state_dict(self) -> dict:
        return {"rows": [tuple(row) for row in self.rows], "shown": [tuple(shown) for shown in self.shown]}

    def load_state_dict(self, state: dict) -> None:
        self.rows = [Row(*row) for row in state["rows"]]
        self.shown = [Shown(*shown) for shown in state["shown"]]

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx) -> None:
        share = batch[-1] if place()[1] > 1 else 1  # as of the loss: the average over ranks is the mean over items
        values = {name: value.detach().float() * share for name, value in module.watched.items()}
        for name, value in {**values, "steps": torch.ones(())}.items():
            self.carried[name] = self.carried[name] + value if name in self.carried else value
        if trainer.global_step % self.every == 0 or batch_idx + 1 == trainer.num_training_batches:
            self.close_interval(trainer)

    def close_interval(self, trainer) -> None:
        """Average the interval's sums over its steps and over ranks, and start the next."""
        steps = self.carried.pop("steps").item()
        for name, total in self.carried.items():
            if place()[1] > 1:
                dist.all_reduce(total)
            self.add(trainer, f"train_{name}", total.item() / steps / place()[1])
        self.carried = {}

    def on_validation_end(self, trainer, module) -> None:
        if trainer.state.fn != "fit":
            return
        for name, value in sorted(trainer.callback_metrics.items()):
            if name.startswith("validation_"):
                self.add(trainer, name, float(value))
        if hasattr(module, "show"):
            now = (trainer.global_step, trainer.current_epoch)
            self.shown += [Shown(*now, name, text) for name, text in module.show().items()]
        self.tell(trainer)

    def on_train_epoch_end(self, trainer, module) -> None:
        self.tell(trainer)

    def add(self, trainer, name: str, value: float) -> None:
        if not math.isfinite(value):
            raise UserError(
                f"{name} became {value} at step {trainer.global_step}: training has diverged. "
                "Lower the learning rate, or clip gradients (fit.<budget>.clip_norm)."
            )
        self.rows.append(Row(trainer.global_step, trainer.current_epoch, name, value))

    def tell(self, trainer) -> None:
        if self.listen and trainer.is_global_zero:
            self.listen(self.rows[self.told[0] :], self.shown[self.told[1] :])
        self.told = (len(self.rows), len(self.shown))
