"""Train a classifier of sentences."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.nn import functional as F
from torchmetrics import MeanMetric
from torchmetrics.classification import MulticlassAccuracy

from lectern.config import DropoutRate, Fraction, NonNegativeFloat, PositiveFloat
from lectern.tasks.sentences.data.format.vocabulary import PAD, SPECIAL, UNKNOWN
from lectern.tasks.sentences.model import networks
from lectern.tasks.sentences.model.language_model import BidirectionalLanguageModel
from lectern.tasks.sentences.model.loader import pad, trim
from lectern.tasks.sentences.model.masked_words import MaskedWords
from lectern.training.module import TrainableModule
from lectern.training.network_factory import build_network
from lectern.training.optimizers import adamw_one_cycle

# the classes that a model config can name
__all__ = ["BidirectionalLanguageModel", "MaskedWords", "SentenceClassifier"]
NETWORKS = (networks.SentenceCNN, networks.SentenceLSTM, networks.SentenceTransformer)


class SentenceClassifier(TrainableModule):
    """A network trained with cross-entropy, AdamW and a one-cycle schedule (Smith 2018, arXiv:1803.09820).

    `network` contains the name and the arguments of the network class, for example `{class: SentenceCNN, dropout:
    0.5}`. With the probability `word_dropout`, a word of a training sentence is replaced by the unknown word. The
    network thereby learns what to do with words that it has never seen (Iyyer et al. 2015, "Deep unordered composition
    rivals syntactic methods for text classification").
    """

    warm_start_requires: ClassVar[Mapping[str, Sequence[str]]] = {
        "network.encoder": ["network.heads"],
        "network.output": ["facts.classes"],
    }
    warm_start_rows: ClassVar[Mapping[str, str]] = {"network.embedding.weight": "facts.vocabulary"}

    def __init__(
        self,
        facts: dict[str, Any],
        network: dict[str, Any],
        learning_rate: PositiveFloat,
        weight_decay: NonNegativeFloat = 0.0,
        warm_up: Fraction = 0.1,
        label_smoothing: Fraction = 0.0,
        word_dropout: DropoutRate = 0.0,
    ):
        super().__init__()
        self.save_hyperparameters()
        self.facts = facts
        classes = len(facts["classes"])
        self.network = build_network(network, NETWORKS, len(facts["vocabulary"]), classes)
        self.validation_metrics["loss"] = MeanMetric()
        self.validation_metrics["accuracy"] = MulticlassAccuracy(classes, average="micro")

    def forward(self, words: Tensor) -> Tensor:
        """Return the logits (B, classes) of word numbers (B, time)."""
        logits: Tensor = self.network(words)
        return logits

    def training_step(self, batch: tuple[Tensor, Tensor, float], batch_idx: int) -> Tensor:
        words, labels, loss_weight = batch
        logits = self(drop_words(trim(words), self.hparams["word_dropout"]))
        loss = F.cross_entropy(logits, labels, label_smoothing=self.hparams["label_smoothing"])
        self.step_metrics = {"loss": loss.detach(), "accuracy": (logits.argmax(1) == labels).float().mean()}
        return loss * loss_weight

    def validation_step(self, batch: tuple[Tensor, Tensor, float], batch_idx: int) -> None:
        words, labels, loss_weight = batch
        if loss_weight == 0:  # the sentence is only padding, and another rank counts the sentence
            return
        logits = self(trim(words))
        self.validation_metric("loss").update(F.cross_entropy(logits, labels, reduction="none"))
        self.validation_metric("accuracy").update(logits, labels)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        return adamw_one_cycle(self)

    @torch.inference_mode()
    def predict(self, sentences: Sequence[Sequence[int]], batch_size: int = 64) -> np.ndarray:
        """Return the probabilities, float32 (n, classes), of the word numbers of n sentences.

        Sentences of similar length are computed together. The result has the order of `sentences`.
        """
        order = np.argsort([len(words) for words in sentences], kind="stable")
        probabilities = np.empty((len(sentences), len(self.facts["classes"])), np.float32)
        for rows in np.split(order, range(batch_size, len(order), batch_size)):
            if len(rows):
                words = pad([sentences[row] for row in rows]).to(self.device)
                probabilities[rows] = self(words).float().softmax(1).cpu().numpy()
        return probabilities

    @torch.inference_mode()
    def attention(self, words: Sequence[int]) -> np.ndarray | None:
        """Return the attention weight of each word of a sentence, or None for a network without attention."""
        weights = self.network.attention_weights(pad([words]).to(self.device))
        return None if weights is None else weights[0].float().cpu().numpy()

    def embeddings(self) -> dict[str, np.ndarray]:
        """Return the learned vector of each word of the vocabulary."""
        vectors = self.network.embedding.weight.detach().float().cpu().numpy()
        return dict(zip(self.facts["vocabulary"][len(SPECIAL) :], vectors[len(SPECIAL) :], strict=True))


def drop_words(words: Tensor, probability: float) -> Tensor:
    """Replace random words by the unknown word. Padding stays unchanged."""
    if probability == 0:
        return words
    is_dropped = (torch.rand(words.shape, device=words.device) < probability) & (words != PAD)
    return words.masked_fill(is_dropped, UNKNOWN)
