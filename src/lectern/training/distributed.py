"""Coordinate the processes of one training.

Find their ranks, stop them together on SIGTERM, and start them under Slurm.
"""

import signal
from typing import Any

import pytorch_lightning as pl
import torch.distributed as dist
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning_utilities.core.rank_zero import rank_zero_only


class StopAllRanksOnSigterm(pl.Callback):
    """Stop all ranks after the same step if one of them receives SIGTERM, so that they save a complete checkpoint.

    Lightning's own handler starts a collective operation inside the signal handler. It deadlocks if the other ranks are
    in a different collective operation. This callback only records the signal, and the ranks compare their records
    after each step. A single process keeps Lightning's handler.
    """

    received_sigterm = False

    def record_sigterm(self, *_: Any) -> None:
        self.received_sigterm = True

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if rank_and_world_size()[1] > 1:  # This replaces the handler that Lightning has just installed.
            signal.signal(signal.SIGTERM, self.record_sigterm)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if rank_and_world_size()[1] > 1 and trainer.strategy.reduce_boolean_decision(self.received_sigterm, all=False):
            trainer._signal_connector.received_sigterm = True  # ExactResume and Lightning's loops read this attribute.


def slurm_plugins() -> list[SLURMEnvironment]:
    """Return Lightning's Slurm plugin if Slurm started this process.

    It does not requeue, because the job script requeues.
    """
    under_slurm = SLURMEnvironment.detect() and not TorchElasticEnvironment.detect()
    return [SLURMEnvironment(auto_requeue=False)] if under_slurm else []


def rank_and_world_size() -> tuple[int, int]:
    """Return (rank, world size). Call it late, because loaders are created before the processes are connected."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


def is_first_process() -> bool:
    """Return whether this process is rank 0, which writes all files. It works before the processes are connected."""
    return bool(getattr(rank_zero_only, "rank", 0) == 0)
