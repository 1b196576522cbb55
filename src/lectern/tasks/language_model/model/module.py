"""Streams of characters to a trained network that predicts the next, whose state is resume_state from batch to batch."""

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.nn import functional as F
from torchmetrics import MeanMetric

from lectern.tasks.language_model.model import networks
from lectern.tasks.language_model.model.generation import generate_text
from lectern.tasks.language_model.model.loader import IGNORE_INDEX
from lectern.training.networks import build_network
from lectern.training.optimizers import adamw_one_cycle

NETWORKS = (networks.RecurrentNetwork, networks.TransformerNetwork)


class CharacterModel(pl.LightningModule):
    """One of `networks` under cross-entropy in nats, AdamW and a one-cycle schedule (Smith 2018, arXiv:1803.09820).

    `network` is `{class: RecurrentNetwork, ...its arguments}`. The state of a batch's streams goes on to the next
    batch and learning stops at its edge (truncated backpropagation through time; TensorFlow without a PhD, part 2).
    """

    def __init__(
        self, facts: dict, network: dict, learning_rate: float, weight_decay: float = 0.0, warm_up: float = 0.1
    ):
        super().__init__()
        self.save_hyperparameters()
        self.facts = facts
        self.network = build_network(network, NETWORKS, 1 + len(facts["alphabet"]))
        self.resume_state: dict[str, Tensor] = {}  # "hidden": what the streams of the last batch left behind
        self.step_metrics: dict[str, Tensor] = {}
        self.validated = torch.nn.ModuleDict({"loss": MeanMetric(), "accuracy": MeanMetric()})
        self.validation_state: Tensor | None = None

    def forward(self, ids: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Ids (streams, time) to logits (streams, time, alphabet + 1) and the state after them."""
        return self.network(ids, self.network.start(len(ids)) if state is None else state)

    def on_train_epoch_start(self) -> None:
        self.resume_state = {}  # each epoch cuts its streams elsewhere: nothing was read before them

    def training_step(self, batch: tuple[Tensor, Tensor, float], index: int) -> Tensor:
        ids, targets, loss_weight = batch
        logits, state = self(ids, self.resume_state.get("hidden"))
        self.resume_state = {"hidden": state.detach()}
        loss = F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten(), ignore_index=IGNORE_INDEX)
        self.step_metrics = {"loss": loss.detach()}
        return loss * loss_weight

    def on_validation_epoch_start(self) -> None:
        self.validation_state = None

    def validation_step(self, batch: tuple[Tensor, Tensor, float], index: int) -> None:
        ids, targets, _ = batch
        logits, self.validation_state = self(ids, self.validation_state)
        counted = targets != IGNORE_INDEX
        logits, targets = logits[counted].float(), targets[counted]
        self.validated["loss"].update(F.cross_entropy(logits, targets, reduction="none"))
        self.validated["accuracy"].update((logits.argmax(1) == targets).float())

    def on_validation_epoch_end(self) -> None:
        self.log_dict({f"validation_{name}": metric.compute() for name, metric in self.validated.items()})
        for metric in self.validated.values():
            metric.reset()

    def configure_optimizers(self):
        return adamw_one_cycle(self, cycle_momentum=False)

    def text_samples(self) -> dict[str, str]:
        """A sample of what it would write now: from nothing to words, names and verse, validation by validation."""
        return {"sample": self.predict(np.zeros(0, np.uint16), length=300, seed=0)}

    def predict(self, prompt: np.ndarray, **how) -> str:
        """A prepared prompt (ids) to the text that follows it; `how` as in `writing.write`."""
        return generate_text(self, prompt, **how)
