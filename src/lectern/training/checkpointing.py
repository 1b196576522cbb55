"""A training that is killed at any moment to one that goes on as if it had not been."""

import os
import pickle
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
import torch.distributed as dist
from lightning_fabric.plugins import TorchCheckpointIO

from lectern.atomic import atomic_file
from lectern.errors import UserError
from lectern.training.distributed import rank_and_world_size


class ExactResume(pl.callbacks.Checkpoint):  # a Checkpoint: Lightning runs it after all other callbacks
    """Saves where Lightning can go on from exactly, and puts back what Lightning itself does not.

    That is the random states, and the `resume_state` tensors of the module and of callbacks, of every rank, and the place
    in the batches: Lightning forgets it where the schedule has asked for `estimated_stepping_batches`. Refused: a step
    limit beside epochs, after which Lightning counts a finished epoch as unfinished.
    """

    def __init__(self, path: Path, every: int = 200):
        self.path, self.every, self.restored = path, every, None

    def setup(self, trainer, pl_module, stage) -> None:
        self.trainer = trainer
        if trainer.max_steps != -1:
            raise ValueError("exact resume needs max_epochs without max_steps")

    def owners(self) -> list[Any]:
        """The module and the callbacks that carry tensors from step to step."""
        return [
            owner
            for owner in (self.trainer.lightning_module, *self.trainer.callbacks)
            if hasattr(owner, "resume_state")
        ]

    def state_dict(self) -> dict:  # called on every rank
        resume_state = [
            {name: value.detach().cpu() for name, value in owner.resume_state.items()} for owner in self.owners()
        ]
        mine = {
            "random": random_state(),
            "resume_state": resume_state,
            "batches": self.trainer.train_dataloader.state_dict(),
        }
        ranks = [mine] * rank_and_world_size()[1]
        if len(ranks) > 1:
            dist.all_gather_object(ranks, mine)
        return {"ranks": ranks}

    def load_state_dict(self, state: dict) -> None:
        rank, world = rank_and_world_size()
        if len(state["ranks"]) != world:
            raise UserError(
                f"{self.path} was saved by {len(state['ranks'])} processes and this run has {world}. "
                f"Run with as many as before, or delete {self.path.parent} to start again."
            )
        mine = state["ranks"][rank]
        device = self.trainer.lightning_module.device
        for owner, resume_state in zip(self.owners(), mine["resume_state"], strict=True):
            owner.resume_state = {name: value.to(device) for name, value in resume_state.items()}
        self.restored = mine

    def on_train_start(self, trainer, pl_module) -> None:  # the last hook before the first batch
        if self.restored:
            trainer.train_dataloader.load_state_dict(self.restored["batches"])
            restore_random_state(self.restored["random"])
            self.restored = None

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        due = trainer.global_step % self.every == 0 or trainer.received_sigterm
        last = batch_idx + 1 == trainer.num_training_batches  # then on_train_epoch_end saves
        validates = trainer.enable_validation and (batch_idx + 1) % trainer.val_check_batch == 0
        accumulating = (batch_idx + 1) % trainer.accumulate_grad_batches != 0  # gradients are not saved
        if due and not (last or validates or accumulating):
            trainer.save_checkpoint(self.path)

    def on_validation_end(self, trainer, pl_module) -> None:
        within = not trainer.fit_loop.epoch_loop.batch_progress.is_last_batch
        accumulating = (trainer.fit_loop.batch_idx + 1) % trainer.accumulate_grad_batches != 0
        if trainer.state.fn == "fit" and within and not accumulating:
            trainer.save_checkpoint(self.path)

    def on_train_epoch_end(self, trainer, pl_module) -> None:
        trainer.save_checkpoint(self.path)


class AtomicCheckpointIO(TorchCheckpointIO):
    """Write checkpoints atomically and keep the previous one."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | os.PathLike[str], storage_options: Any = None
    ) -> None:
        """Write a checkpoint. Raises UserError if the disk is full; the previous checkpoint stays."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with atomic_file(path, backup=previous_checkpoint(path)) as part, open(part, "wb") as file:
                torch.save(checkpoint, file)
        except OSError as error:
            raise UserError(
                f"The checkpoint {path} could not be written: {error}. The previous checkpoint is still there."
            ) from error


def previous_checkpoint(path: Path) -> Path:
    """Return the path of the checkpoint before the last one."""
    return path.with_name(f"{path.name}.previous")


def last_valid_checkpoint(path: Path) -> Path | None:
    """The newest checkpoint that loads whole, or None."""
    for candidate in (path, previous_checkpoint(path)):
        if candidate.exists():
            try:
                torch.load(candidate, map_location="cpu", weights_only=True, mmap=True)
                return candidate
            except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError):
                continue
    return None


def random_state() -> dict:
    """The states of torch, Python and NumPy as what `weights_only` loading takes: tensors and plain values."""
    kind, keys, position, has_gauss, gauss = np.random.get_state()
    return {
        "torch": torch.get_rng_state(),
        "python": random.getstate(),
        "numpy": [kind, torch.from_numpy(keys.astype(np.int64)), position, has_gauss, gauss],
        "cuda": torch.cuda.get_rng_state() if torch.cuda.is_available() else None,
    }


def restore_random_state(state: dict) -> None:
    torch.set_rng_state(state["torch"])
    random.setstate(state["python"])
    kind, keys, position, has_gauss, gauss = state["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), position, has_gauss, gauss))
    if state["cuda"] is not None:
        torch.cuda.set_rng_state(state["cuda"])
