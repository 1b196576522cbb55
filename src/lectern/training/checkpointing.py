"""Save checkpoints, and resume a killed training so that it produces the same bytes as an uninterrupted training."""

import os
import pickle
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
import torch.distributed as dist
from lightning_fabric.plugins import TorchCheckpointIO

from lectern.atomic import atomic_file
from lectern.errors import UserError
from lectern.training.distributed import rank_and_world_size
from lectern.training.module import HasResumeState
from lectern.training.random_state import get_random_state, restore_random_state
from lectern.training.stop_signals import StopOnSignal


class ExactResume(pl.callbacks.Checkpoint):  # Lightning calls Checkpoint callbacks after all other callbacks
    """Save checkpoints only at steps from which Lightning can resume exactly, and save additional states.

    The additional states of each rank are the random states, the `resume_state` of the module and of the callbacks, and
    the position in the batches. Lightning itself loses the position in the batches if the learning-rate schedule has
    read `estimated_stepping_batches`. `max_steps` is rejected, because Lightning counts a finished epoch as unfinished
    if `max_steps` is set.
    """

    def __init__(self, path: Path, stop: StopOnSignal, interval: int = 200):
        self.path, self.stop, self.interval = path, stop, interval
        self.restored: dict[str, Any] | None = None

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self.trainer = trainer
        if trainer.max_steps != -1:
            raise ValueError("exact resume requires max_epochs, and max_steps must not be set")

    # list[Any], because the type checker of the tests would draw a random item to check a more exact type
    def resumable_objects(self) -> list[Any]:
        """Return the module and the callbacks that have a `resume_state`."""
        candidates: list[Any] = [self.trainer.lightning_module, *getattr(self.trainer, "callbacks", [])]
        return [candidate for candidate in candidates if isinstance(candidate, HasResumeState)]

    def state_dict(self) -> dict[str, Any]:
        """Return the additional states of all ranks. Lightning calls `state_dict` on every rank."""
        resume_state = [
            {name: value.detach().cpu() for name, value in owner.resume_state.items()}
            for owner in self.resumable_objects()
        ]
        loader: Any = self.trainer.train_dataloader
        mine = {"random": get_random_state(), "resume_state": resume_state, "batches": loader.state_dict()}
        ranks = [mine] * rank_and_world_size()[1]
        if len(ranks) > 1:
            dist.all_gather_object(ranks, mine)
        return {"ranks": ranks}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the `resume_state` of the module and callbacks on this rank.

        Raises UserError if the number of processes has changed.
        """
        rank, world_size = rank_and_world_size()
        if len(state_dict["ranks"]) != world_size:
            raise UserError(
                f"{self.path} was saved by {len(state_dict['ranks'])} processes, but this training has {world_size}. "
                f"Train with the earlier number of processes, or delete {self.path.parent} to start again."
            )
        mine = state_dict["ranks"][rank]
        device = self.trainer.lightning_module.device
        for owner, resume_state in zip(self.resumable_objects(), mine["resume_state"], strict=True):
            owner.resume_state = {name: value.to(device) for name, value in resume_state.items()}
        self.restored = mine

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Restore the random states and the position in the batches.

        The random states are not restored earlier, because earlier hooks may draw random numbers.
        """
        if self.restored:
            loader: Any = trainer.train_dataloader
            loader.load_state_dict(self.restored["batches"])
            restore_random_state(self.restored["random"])
            self.restored = None

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save a checkpoint every `interval` steps and after a stop signal.

        If a validation or the end of the epoch follows the step, the checkpoint is saved after the validation or the
        end of the epoch.
        """
        due = trainer.global_step % self.interval == 0 or self.stop.received
        last = batch_idx + 1 == trainer.num_training_batches
        validates = trainer.enable_validation and (batch_idx + 1) % (trainer.val_check_batch or 1) == 0
        if due and not (last or validates or self.is_accumulating(batch_idx)):
            self.save()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        within_epoch = not trainer.fit_loop.epoch_loop.batch_progress.is_last_batch
        if trainer.state.fn == "fit" and within_epoch and not self.is_accumulating(trainer.fit_loop.batch_idx):
            self.save()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.save()

    def save(self) -> None:
        """Save a checkpoint, and then end the training if a stop signal was received."""
        self.trainer.save_checkpoint(self.path)
        self.stop.stop_after_save(self.trainer)

    def is_accumulating(self, batch_idx: int) -> bool:
        """Return whether accumulated gradients exist after a batch.

        A checkpoint cannot contain accumulated gradients.
        """
        return (batch_idx + 1) % self.trainer.accumulate_grad_batches != 0


class AtomicCheckpointIO(TorchCheckpointIO):
    """Write checkpoints atomically, and keep a copy of the previous checkpoint."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | os.PathLike[str], storage_options: Any = None
    ) -> None:
        """Write a checkpoint to `path`. Raises UserError if the write fails, and keeps the previous checkpoint."""
        path = Path(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_file(path, backup=previous_checkpoint(path)) as part, open(part, "wb") as file:
                torch.save(checkpoint, file)
        except (OSError, RuntimeError, UserError) as error:  # PyTorch raises RuntimeError if the disk is full
            raise UserError(
                f"The checkpoint {path} could not be written: {first_cause(error)}. An earlier checkpoint was kept. "
                "Free some space and run the same command again to continue from the earlier checkpoint."
            ) from error


def first_cause(error: BaseException) -> BaseException:
    """Return the first error in the chain of causes of an error, such as an error of the operating system."""
    cause = error.__cause__ or error.__context__
    return first_cause(cause) if cause else error


def previous_checkpoint(path: Path) -> Path:
    """Return the path at which the previous checkpoint is kept when a new checkpoint is written to `path`."""
    return path.with_name(f"{path.name}.previous")


def last_valid_checkpoint(path: Path) -> Path | None:
    """Return the newest of the last two checkpoints that can be loaded, or None if neither can be loaded."""
    for candidate in (path, previous_checkpoint(path)):
        if candidate.exists():
            try:
                torch.load(candidate, map_location="cpu", weights_only=True, mmap=True)
                return candidate
            except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError):
                continue
    return None
