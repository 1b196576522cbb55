"""Pre-train an encoder as a language model in both directions (Peters et al. 2018, arXiv:1802.05365)."""

from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from lectern.errors import UserError
from lectern.tasks.sentences.model import networks
from lectern.tasks.sentences.model.word_prediction import WordPrediction


class BidirectionalLanguageModel(WordPrediction):
    """A bidirectional LSTM that predicts each word twice: from the words before it, and from the words after it.

    Raises UserError if the LSTM has several layers, because the second layer would read the predicted word.
    """

    network_classes: ClassVar[tuple[type[networks.WordEncoder], ...]] = (networks.SentenceLSTM,)
    directions: ClassVar[int] = 2

    def check_network(self) -> None:
        if (layers := self.network.encoder.num_layers) != 1:
            raise UserError(f"network.layers is {layers}; BidirectionalLanguageModel needs 1.")

    def compute_features(
        self, words: Int[Tensor, "batch time"], is_predicted: Bool[Tensor, "batch time"]
    ) -> Float[Tensor, "predictions features"]:
        forward, backward = self.network.encode(words).chunk(2, dim=2)
        before = F.pad(forward, (0, 0, 1, 0))[:, :-1]  # the features of the previous word, or zeros for the first word
        after = F.pad(backward, (0, 0, 0, 1))[:, 1:]  # the features of the next word, or zeros for the last word
        return torch.cat([before[is_predicted], after[is_predicted]])
