"""Define what a Lightning module must provide to be trained with history and exact resume."""

from typing import Protocol, runtime_checkable

import pytorch_lightning as pl
from torch import Tensor


@runtime_checkable
class HasResumeState(Protocol):
    """A module or callback with tensors that are passed from one step to the next.

    The checkpoint contains the `resume_state` of every rank in addition to the weights.
    """

    resume_state: dict[str, Tensor]


class TrainableModule(pl.LightningModule):
    """Base class of the modules of all tasks.

    `resume_state` contains the tensors that a training step needs from the step before, such as the hidden state of a
    recurrent network. `step_metrics` contains the metrics of the last training step. The history records the averages
    of these metrics as `train_<name>`. Metrics that the module logs as `validation_<name>` are recorded after each
    validation.
    """

    def __init__(self) -> None:
        super().__init__()
        self.resume_state: dict[str, Tensor] = {}
        self.step_metrics: dict[str, Tensor] = {}

    def text_samples(self) -> dict[str, str]:
        """Return texts by name that show the progress of the training.

        The history records these texts after each validation.
        """
        return {}
