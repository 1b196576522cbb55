"""Pre-train an encoder by predicting words of a sentence, without labels."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float, Int
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics import MeanMetric

from lectern.config import Fraction, NonNegativeFloat, PositiveFloat
from lectern.tasks.sentences.data.format.vocabulary import PAD, SPECIAL
from lectern.tasks.sentences.model import networks
from lectern.tasks.sentences.model.loader import trim
from lectern.training.module import TrainableModule
from lectern.training.network_factory import build_network
from lectern.training.optimizers import adamw_one_cycle

STRIDE = 7  # every 7th word of a validation sentence is predicted, which is about 15 % of the words


class WordPrediction(TrainableModule, ABC):
    """Base class of the modules that predict a share of the words of each sentence.

    The network has the same `embedding` and `encoder` as the network of a `SentenceClassifier`, which can start from
    these parts with `init_from`. The vectors of the words also predict the words (Press & Wolf 2017, arXiv:1608.05859).
    `validation_baseline` is the accuracy of always predicting the most frequent word.
    """

    warm_start_requires: ClassVar[Mapping[str, Sequence[str]]] = {"network.encoder": ["network.heads"]}
    warm_start_rows: ClassVar[Mapping[str, str]] = {"network.embedding.weight": "facts.vocabulary"}
    network_classes: ClassVar[tuple[type[networks.WordEncoder], ...]]
    directions: ClassVar[int] = 1  # number of predictions of each word

    def __init__(
        self,
        facts: dict[str, Any],
        network: dict[str, Any],
        learning_rate: PositiveFloat,
        weight_decay: NonNegativeFloat = 0.0,
        warm_up: Fraction = 0.1,
        predicted_share: Fraction = 0.15,
    ):
        super().__init__()
        self.save_hyperparameters()
        self.facts = facts
        self.vocabulary_size = len(facts["vocabulary"])
        self.network = build_network(network, self.network_classes, self.vocabulary_size, len(facts["classes"]))
        self.check_network()
        size = self.network.embedding.embedding_dim
        features = self.network.output.in_features // self.directions
        self.head = nn.Sequential(nn.Linear(features, size), nn.GELU(), nn.LayerNorm(size))
        self.bias = nn.Parameter(torch.zeros(self.vocabulary_size))
        for name in ("loss", "accuracy", "baseline"):
            self.validation_metrics[name] = MeanMetric()

    def check_network(self) -> None:
        """Raise UserError if the module cannot train the network that the config selects."""

    @abstractmethod
    def compute_features(
        self, words: Int[Tensor, "batch time"], is_predicted: Bool[Tensor, "batch time"]
    ) -> Float[Tensor, "predictions features"]:
        """Return the features of each prediction. They must not depend on the predicted word."""

    def forward(self, words: Int[Tensor, "batch time"], is_predicted: Bool[Tensor, "batch time"]) -> Tensor:
        """Return the logits (predictions, vocabulary) of the selected words."""
        features = self.head(self.compute_features(words, is_predicted))
        return F.linear(features, self.network.embedding.weight, self.bias)

    def training_step(self, batch: tuple[Tensor, Tensor, float], batch_idx: int) -> Tensor:
        words, loss_weight = trim(batch[0]), batch[2]
        is_predicted = (torch.rand(words.shape, device=words.device) < self.hparams["predicted_share"]) & (words != PAD)
        is_predicted[0, 0] = True  # the mean of no losses would not be a number
        logits, targets = self(words, is_predicted), words[is_predicted].repeat(self.directions)
        loss = F.cross_entropy(logits, targets)
        self.step_metrics = {"loss": loss.detach(), "accuracy": (logits.argmax(1) == targets).float().mean()}
        return loss * loss_weight

    def validation_step(self, batch: tuple[Tensor, Tensor, float], batch_idx: int) -> None:
        words, _, loss_weight = batch
        if loss_weight == 0:  # the sentence is only padding, and another rank counts the sentence
            return
        words = trim(words)
        is_predicted = (torch.arange(words.shape[1], device=words.device) % STRIDE == STRIDE // 2) & (words != PAD)
        targets = words[is_predicted].repeat(self.directions)
        if len(targets):
            logits = self(words, is_predicted)
            self.validation_metric("loss").update(F.cross_entropy(logits, targets, reduction="none"))
            self.validation_metric("accuracy").update((logits.argmax(1) == targets).float())
            self.validation_metric("baseline").update((targets == len(SPECIAL)).float())

    def configure_optimizers(self) -> OptimizerLRScheduler:
        return adamw_one_cycle(self)
