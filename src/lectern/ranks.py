"""The processes of one training, told to end, to their end after the same step; and Slurm's view of them."""

import signal
import warnings
from typing import Any

import pytorch_lightning as pl
from lightning_fabric.plugins.environments import SLURMEnvironment, TorchElasticEnvironment

from lectern.batches import place


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
    warnings.filterwarnings("ignore", message="It is recommended to use `self.log")  # torchmetrics has synced already
    under_slurm = SLURMEnvironment.detect() and not TorchElasticEnvironment.detect()
    return [SLURMEnvironment(auto_requeue=False)] if under_slurm else []
