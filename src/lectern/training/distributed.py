"""The processes of one training, told to end, to their end after the same step; and Slurm's view of them."""

import signal
import warnings
from typing import Any

import pytorch_lightning as pl
import torch.distributed as dist
from lightning_fabric.plugins.environments import SLURMEnvironment, TorchElasticEnvironment
from pytorch_lightning.utilities.rank_zero import rank_zero_only


class StopAllRanksOnSigterm(pl.Callback):
    """Told to end by SIGTERM, all ranks end after the same step, so that the checkpoint of it is whole.

    Lightning's own handler starts a collective from within the signal, where the other ranks are in another one: it
    blocks. Here a rank only notes the signal; after each step all ask each other. One process needs none of this.
    """

    told = False

    def note(self, *_: Any) -> None:
        self.told = True

    def on_train_start(self, trainer, module) -> None:  # Lightning has set its handler just before
        if rank_and_world_size()[1] > 1:
            signal.signal(signal.SIGTERM, self.note)

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx) -> None:
        if rank_and_world_size()[1] > 1 and trainer.strategy.reduce_boolean_decision(self.told, all=False):
            trainer._signal_connector.received_sigterm = True  # what ExactResume and Lightning's loops ask for


def slurm_plugins() -> list[SLURMEnvironment]:
    """Under Slurm, Lightning's view of it without requeueing: the job itself asks for that, see `lectern.cluster`."""
    warnings.filterwarnings("ignore", message="The `srun` command is available")  # a login node trains small things
    warnings.filterwarnings("ignore", message="It is recommended to use `self.log")  # torchmetrics has synced already
    under_slurm = SLURMEnvironment.detect() and not TorchElasticEnvironment.detect()
    return [SLURMEnvironment(auto_requeue=False)] if under_slurm else []


def rank_and_world_size() -> tuple[int, int]:
    """(rank, world size) as of now: asked at use, since batches are made before the processes are."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


def is_first_process() -> bool:
    """Whether this process is rank 0, which alone writes; known before the processes are joined."""
    return rank_zero_only.rank == 0
