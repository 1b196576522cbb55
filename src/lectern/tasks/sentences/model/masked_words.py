"""Pre-train an encoder by filling in masked words, without labels (Devlin et al. 2019, arXiv:1810.04805)."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Int
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics import MeanMetric

from lectern.config import Fraction, NonNegativeFloat, PositiveFloat
from lectern.tasks.sentences.data.format.vocabulary import MASK, PAD, SPECIAL
from lectern.tasks.sentences.model import networks
from lectern.tasks.sentences.model.loader import trim
from lectern.training.module import TrainableModule
from lectern.training.network_factory import build_network
from lectern.training.optimizers import adamw_one_cycle

NETWORKS = (networks.SentenceLSTM, networks.SentenceTransformer)
STRIDE = 7  # every 7th word of a validation sentence is masked, which is about 15 % of the words
KEPT, RANDOM = 0.1, 0.1  # shares of the masked words that stay unchanged, or become a random word


class MaskedWords(TrainableModule):
    """An encoder that predicts words of a sentence from the other words of the sentence.

    The network has the same `embedding` and `encoder` as the network of a `SentenceClassifier`, which can start from
    these parts with `init_from`. The vectors of the words also predict the masked words (Press & Wolf 2017,
    arXiv:1608.05859). `validation_baseline` is the accuracy of always predicting the most frequent word.
    """

    warm_start_requires: ClassVar[Mapping[str, Sequence[str]]] = {"network.encoder": ["network.heads"]}
    warm_start_rows: ClassVar[Mapping[str, str]] = {"network.embedding.weight": "facts.vocabulary"}

    def __init__(
        self,
        facts: dict[str, Any],
        network: dict[str, Any],
        learning_rate: PositiveFloat,
        weight_decay: NonNegativeFloat = 0.0,
        warm_up: Fraction = 0.1,
        mask_rate: Fraction = 0.15,
    ):
        super().__init__()
        self.save_hyperparameters()
        self.facts = facts
        self.vocabulary_size = len(facts["vocabulary"])
        self.network = build_network(network, NETWORKS, self.vocabulary_size, len(facts["classes"]))
        size = self.network.embedding.embedding_dim
        self.head = nn.Sequential(nn.Linear(self.network.output.in_features, size), nn.GELU(), nn.LayerNorm(size))
        self.bias = nn.Parameter(torch.zeros(self.vocabulary_size))
        for name in ("loss", "accuracy", "baseline"):
            self.validation_metrics[name] = MeanMetric()

    def forward(self, words: Int[Tensor, "batch time"], is_masked: Bool[Tensor, "batch time"]) -> Tensor:
        """Return the logits (masked words, vocabulary) of the words at the masked positions."""
        features = self.head(self.network.encode(words)[is_masked])
        return F.linear(features, self.network.embedding.weight, self.bias)

    def training_step(self, batch: tuple[Tensor, Tensor, float], batch_idx: int) -> Tensor:
        words, loss_weight = trim(batch[0]), batch[2]
        is_masked = (torch.rand(words.shape, device=words.device) < self.hparams["mask_rate"]) & (words != PAD)
        is_masked[0, 0] = True  # the mean of no losses would not be a number
        logits, targets = self(self.hide(words, is_masked), is_masked), words[is_masked]
        loss = F.cross_entropy(logits, targets)
        self.step_metrics = {"loss": loss.detach(), "accuracy": (logits.argmax(1) == targets).float().mean()}
        return loss * loss_weight

    def hide(self, words: Int[Tensor, "batch time"], is_masked: Bool[Tensor, "batch time"]) -> Tensor:
        """Replace most masked words by MASK. A few become a random word, and a few stay unchanged."""
        chance = torch.rand(words.shape, device=words.device)
        hidden = words.masked_fill(is_masked & (chance >= KEPT + RANDOM), MASK)
        others = torch.randint_like(words, len(SPECIAL), self.vocabulary_size)
        return torch.where(is_masked & (chance < RANDOM), others, hidden)

    def validation_step(self, batch: tuple[Tensor, Tensor, float], batch_idx: int) -> None:
        words, _, loss_weight = batch
        if loss_weight == 0:  # the sentence is only padding, and another rank counts the sentence
            return
        words = trim(words)
        is_masked = (torch.arange(words.shape[1], device=words.device) % STRIDE == STRIDE // 2) & (words != PAD)
        targets = words[is_masked]
        if len(targets):
            logits = self(words.masked_fill(is_masked, MASK), is_masked)
            self.validation_metric("loss").update(F.cross_entropy(logits, targets, reduction="none"))
            self.validation_metric("accuracy").update((logits.argmax(1) == targets).float())
            self.validation_metric("baseline").update((targets == len(SPECIAL)).float())

    def configure_optimizers(self) -> OptimizerLRScheduler:
        return adamw_one_cycle(self)
