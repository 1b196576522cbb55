"""The processes of one training: how many there are, and how they end together when one of them is told to."""

import signal
import warnings
from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments import SLURMEnvironment, TorchElasticEnvironment

from lectern.batches import place
from lectern.errors import UserError


class EndTogether(pl.Callback):
    """Told to end by SIGTERM, all ranks end after the same step, so that the checkpoint of it is whole.

    Lightning's own handler starts a collective from within the signal, where the other ranks are in another one: it
    blocks. Here a rank only notes the signal; after each step all ask each other. One process needs none of this.
    """

    told = False

    def note(self, *_: Any) -> None:
        self.told = True

    def on_train_start(self, trainer, module) -> None:  # Lightning has set its handler just before
        if place()[1] > 1:
            signal.signal(signal.SIGTERM, self.note)

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx) -> None:
        if place()[1] > 1 and trainer.strategy.reduce_boolean_decision(self.told, all=False):
            trainer._signal_connector.received_sigterm = True  # what ExactResume and Lightning's loops ask for


def environment() -> list[SLURMEnvironment]:
    """Under Slurm, Lightning's view of it without requeueing: the job itself asks for that, see `lectern.cluster`."""
    warnings.filterwarnings("ignore", message="The `srun` command is available")  # a login node trains small things
    under_slurm = SLURMEnvironment.detect() and not TorchElasticEnvironment.detect()
    return [SLURMEnvironment(auto_requeue=False)] if under_slurm else []


def world_size(trainer: Mapping[str, Any]) -> int:
    """How many processes a trainer's config starts on all its nodes; without a number, one for each GPU here."""
    devices = trainer["devices"]
    if not isinstance(devices, int) or devices < 1:  # -1, "auto"; what makes no sense Lightning refuses
        devices = max(torch.cuda.device_count(), 1)
    return devices * trainer.get("num_nodes", 1)


def check_share(batch_size: int, trainer: Mapping[str, Any], where: str) -> None:
    """Raises UserError for a global batch that the processes cannot share equally."""
    world = world_size(trainer)
    if batch_size % world:
        less, more = batch_size // world * world, (batch_size // world + 1) * world
        raise UserError(
            f"{where}: batch_size is {batch_size}, of all processes together, and the trainer starts {world} "
            f"({trainer.get('num_nodes', 1)} nodes x {world // trainer.get('num_nodes', 1)}): {batch_size % world} "
            f"would be left over. Choose {f'{less} or ' if less else ''}{more}, or another number of processes."
        )
