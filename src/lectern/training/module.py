"""Define the base class of Lightning modules that are trained with a history and with exact resume."""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Protocol, runtime_checkable

import pytorch_lightning as pl
from torch import Tensor, nn
from torchmetrics import Metric


@runtime_checkable
class HasResumeState(Protocol):
    """A module or callback whose `resume_state` contains tensors that are passed from one training step to the next.

    Each checkpoint contains the `resume_state` of every rank in addition to the weights.
    """

    resume_state: dict[str, Tensor]


class TrainableModule(pl.LightningModule):
    """Base class of the Lightning modules of all tasks.

    `resume_state` contains the tensors that a training step needs from the previous training step, such as the hidden
    state of a recurrent network. `step_metrics` contains the metrics of the last training step. The history records
    averages of `step_metrics` as `train_<name>`. `validation_metrics` contains the metrics that a validation step
    updates. After each validation, the history records them as `validation_<name>`.

    `warm_start_requires` lists what gives the weights their meaning, in addition to their names and shapes. If a
    training copies weights below a submodule (a key, or "" for all weights), the facts and hyperparameters in the value
    must be equal in both models, for example `{"network.output": ["facts.classes"]}`.

    `warm_start_rows` maps the name of a tensor to the fact that lists what each row of the tensor stands for, for
    example `{"network.embedding.weight": "facts.vocabulary"}`. A training copies the rows of the entries that both
    models have, even if the lists differ. The other rows keep their random values.
    """

    warm_start_requires: ClassVar[Mapping[str, Sequence[str]]] = {"": ("facts", "network")}
    warm_start_rows: ClassVar[Mapping[str, str]] = {}

    def __init__(self) -> None:
        super().__init__()
        self.resume_state: dict[str, Tensor] = {}
        self.step_metrics: dict[str, Tensor] = {}
        self.validation_metrics = nn.ModuleDict()

    def validation_metric(self, name: str) -> Metric:
        metric = self.validation_metrics[name]
        assert isinstance(metric, Metric)
        return metric

    def validation_metric_names(self) -> list[str]:
        """Return the names of the metrics that the module logs after each validation."""
        return [f"validation_{name}" for name in self.validation_metrics]

    def on_validation_epoch_end(self) -> None:
        metrics = {name: self.validation_metric(name) for name in self.validation_metrics}
        self.log_dict({f"validation_{name}": metric.compute() for name, metric in metrics.items()})
        for metric in metrics.values():
            metric.reset()

    def text_samples(self) -> dict[str, str]:
        """Return a dict that maps names to sample texts, which the history records after each validation."""
        return {}
