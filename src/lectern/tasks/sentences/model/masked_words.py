"""Pre-train an encoder by filling in masked words, without labels (Devlin et al. 2019, arXiv:1810.04805)."""

from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lectern.tasks.sentences.data.format.vocabulary import MASK, SPECIAL
from lectern.tasks.sentences.model import networks
from lectern.tasks.sentences.model.word_prediction import WordPrediction

KEPT, RANDOM = 0.1, 0.1  # shares of the predicted words that stay unchanged, or become a random word


class MaskedWords(WordPrediction):
    """An encoder that predicts words of a sentence from all other words of the sentence."""

    network_classes: ClassVar[tuple[type[networks.WordEncoder], ...]] = (
        networks.SentenceLSTM,
        networks.SentenceTransformer,
    )

    def compute_features(
        self, words: Int[Tensor, "batch time"], is_predicted: Bool[Tensor, "batch time"]
    ) -> Float[Tensor, "predictions features"]:
        hidden = self.hide(words, is_predicted) if self.training else words.masked_fill(is_predicted, MASK)
        return self.network.encode(hidden)[is_predicted]

    def hide(
        self, words: Int[Tensor, "batch time"], is_predicted: Bool[Tensor, "batch time"]
    ) -> Int[Tensor, "batch time"]:
        """Replace most predicted words by MASK. A few become a random word, and a few stay unchanged."""
        chance = torch.rand(words.shape, device=words.device)
        hidden = words.masked_fill(is_predicted & (chance >= KEPT + RANDOM), MASK)
        others = torch.randint_like(words, len(SPECIAL), self.vocabulary_size)
        return torch.where(is_predicted & (chance < RANDOM), others, hidden)
