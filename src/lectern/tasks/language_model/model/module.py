"""Train a character model on parallel streams of text."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.nn import functional as F
from torchmetrics import MeanMetric

from lectern.config import Fraction, NonNegativeFloat, PositiveFloat
from lectern.tasks.language_model.model.generation import generate_text
from lectern.tasks.language_model.model.loader import IGNORE_INDEX
from lectern.tasks.language_model.model.networks import CharacterNetwork, RecurrentNetwork, TransformerNetwork
from lectern.training.module import TrainableModule
from lectern.training.network_factory import build_network
from lectern.training.optimizers import adamw_one_cycle

NETWORKS: Sequence[type[CharacterNetwork]] = (RecurrentNetwork, TransformerNetwork)


class CharacterModel(TrainableModule):
    """A network trained with cross-entropy in nats, AdamW and a one-cycle schedule (Smith 2018, arXiv:1803.09820).

    `network` contains the name and the arguments of the network class, for example
    `{class: RecurrentNetwork, cell: gru, ...}`. The state of the streams is passed from one batch to the next batch,
    but gradients are not passed. This method is called truncated backpropagation through time (TensorFlow without a
    PhD, part 2).
    """

    warm_start_requires: ClassVar[Mapping[str, Sequence[str]]] = {
        "": ["facts.alphabet", "network.class", "network.heads"]
    }

    def __init__(
        self,
        facts: dict[str, Any],
        network: dict[str, Any],
        learning_rate: PositiveFloat,
        weight_decay: NonNegativeFloat = 0.0,
        warm_up: Fraction = 0.1,
    ):
        super().__init__()
        self.save_hyperparameters()
        self.facts = facts
        self.network = build_network(network, NETWORKS, 1 + len(facts["alphabet"]))
        self.validation_metrics.update({"loss": MeanMetric(), "accuracy": MeanMetric()})
        self.validation_state: Tensor | None = None

    def forward(self, ids: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the logits (streams, time, alphabet + 1) of ids (streams, time), and the new state."""
        state = self.network.initial_state(len(ids)) if state is None else state
        logits, new_state = self.network(ids, state)
        return logits, new_state

    def on_train_epoch_start(self) -> None:
        self.resume_state = {}  # each epoch cuts the text into different streams

    def training_step(self, batch: tuple[Tensor, Tensor, float], batch_idx: int) -> Tensor:
        ids, targets, loss_weight = batch
        logits, state = self(ids, self.resume_state.get("hidden"))
        self.resume_state = {"hidden": state.detach()}
        loss = F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten(), ignore_index=IGNORE_INDEX)
        self.step_metrics = {"loss": loss.detach()}
        return loss * loss_weight

    def on_validation_epoch_start(self) -> None:
        self.validation_state = None

    def validation_step(self, batch: tuple[Tensor, Tensor, float], batch_idx: int) -> None:
        ids, targets, _ = batch
        logits, self.validation_state = self(ids, self.validation_state)
        counted = targets != IGNORE_INDEX
        logits, targets = logits[counted].float(), targets[counted]
        self.validation_metric("loss").update(F.cross_entropy(logits, targets, reduction="none"))
        self.validation_metric("accuracy").update((logits.argmax(1) == targets).float())

    def configure_optimizers(self) -> OptimizerLRScheduler:
        return adamw_one_cycle(self, cycle_momentum=False)

    def text_samples(self) -> dict[str, str]:
        """Return a text that is generated without a prompt.

        Texts of successive validations show the progress of the training.
        """
        return {"sample": self.predict(np.zeros(0, np.uint16), length=300, seed=0)}

    def predict(self, prompt: np.ndarray, **options: Any) -> str:
        """Generate the text that follows a prompt of ids. The keyword arguments are the options of `generate_text`."""
        return generate_text(self, prompt, **options)
