"""Stop a training early if the validation result that selects the best weights does not improve any more."""

from typing import Any

import pytorch_lightning as pl

from lectern.config import NonNegativeFloat, PositiveInt
from lectern.training.callbacks import KeepBest
from lectern.training.history import History

RECORD = "stopped_epoch"  # name of the history record of a training that was stopped early


class StopEarly(pl.Callback):
    """Stop the training after `patience` validations in a row without an improvement by more than `min_delta`.

    Each checkpoint contains the number of these validations. A resumed training therefore stops at the same step as an
    uninterrupted training. Lightning's EarlyStopping is not used, because a training that is killed after the last
    checkpoint and before the export of the model would continue after the stop.
    """

    def __init__(
        self, patience: PositiveInt, min_delta: NonNegativeFloat = 0.0, *, keep_best: KeepBest, history: History
    ):
        self.patience, self.min_delta = patience, min_delta
        self.keep_best, self.history = keep_best, history
        self.best: float | None = None
        self.waited = 0
        self.stopped: dict[str, Any] | None = None  # step, epoch and reason of the stop

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "waited": self.waited, "stopped": self.stopped}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best, self.waited, self.stopped = state_dict["best"], state_dict["waited"], state_dict["stopped"]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        trainer.should_stop = trainer.should_stop or self.stopped is not None

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.state.fn != "fit":
            return
        value = float(trainer.callback_metrics[self.keep_best.metric])
        if self.best is None or self.keep_best.sign * (value - self.best) > self.min_delta:
            self.best, self.waited = value, 0
        else:
            self.waited += 1
        # all processes must stop after the same step, even if their values differ by rounding
        must_stop = trainer.strategy.reduce_boolean_decision(self.waited >= self.patience, all=False)
        is_last = trainer.is_last_batch and trainer.current_epoch + 1 == trainer.max_epochs
        if must_stop and not is_last:
            self.stop(trainer)

    def stop(self, trainer: pl.Trainer) -> None:
        epoch = trainer.current_epoch + 1
        margin = f" by more than {self.min_delta:g}" if self.min_delta else ""
        reason = f"{self.keep_best.metric} has not improved{margin} in the last {self.patience} validations"
        self.stopped = {"step": trainer.global_step, "epoch": epoch, "epochs": trainer.max_epochs, "reason": reason}
        self.history.add_record(trainer, RECORD, float(epoch))
        trainer.should_stop = True


def describe_stop(stopped: dict[str, Any]) -> str:
    return "stopped at step {step} in epoch {epoch} of {epochs}, because {reason}".format(**stopped)
