"""Define networks that map the words of a sentence to one logit per class.

Every network has an `embedding` and a layer `output`. The recurrent network and the Transformer also have an `encoder`.
"""

import math
from abc import ABC, abstractmethod
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import rnn

from lectern.config import DropoutRate, LayerCount, PositiveInt
from lectern.tasks.sentences.data.format.vocabulary import PAD

EMBEDDING_STD = 0.1  # standard deviation of the initial word vectors


class SentenceNetwork(nn.Module, ABC):
    """Base class of the networks. PAD words at the end of a sentence never change the result.

    `dropout` is the dropout rate of the features, and `embedding_dropout` is the dropout rate of the word vectors. The
    default of `embedding_dropout` is `dropout`.
    """

    def __init__(
        self,
        vocabulary_size: int,
        embedding_size: int,
        features: int,
        classes: int,
        dropout: float,
        embedding_dropout: float | None = None,
    ):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary_size, embedding_size, padding_idx=PAD)
        # PyTorch's default of 1 is too large: rare words would keep their random vectors in a few epochs.
        nn.init.normal_(self.embedding.weight, std=EMBEDDING_STD)
        nn.init.zeros_(self.embedding.weight[PAD])
        self.dropout = nn.Dropout(dropout)
        self.embedding_dropout = nn.Dropout(dropout if embedding_dropout is None else embedding_dropout)
        self.output = nn.Linear(features, classes)

    def embed(self, words: Int[Tensor, "batch time"]) -> Float[Tensor, "batch time embedding"]:
        embedded: Tensor = self.embedding_dropout(self.embedding(words))
        return embedded

    def forward(self, words: Int[Tensor, "batch time"]) -> Float[Tensor, "batch classes"]:
        """Return the logits of each sentence."""
        logits: Tensor = self.output(self.dropout(self.summarize(words)))
        return logits

    @abstractmethod
    def summarize(self, words: Int[Tensor, "batch time"]) -> Float[Tensor, "batch features"]:
        """Return the features of each sentence, from which the last layer computes the logits."""

    def attention_weights(self, words: Int[Tensor, "batch time"]) -> Float[Tensor, "batch time"] | None:
        """Return the share of each word in the features of its sentence, or None for a network without attention."""
        return None


class WordEncoder(SentenceNetwork):
    """Base class of the networks that compute features of each word. `WordPrediction` can train such a network."""

    encoder: nn.Module

    @abstractmethod
    def encode(self, words: Int[Tensor, "batch time"]) -> Float[Tensor, "batch time features"]:
        """Return the features of each word."""


class SentenceCNN(SentenceNetwork):
    """Convolutions over neighbouring words, and the maximum of each feature over time (Kim 2014, arXiv:1408.5882)."""

    def __init__(
        self,
        vocabulary_size: int,
        classes: int,
        embedding_size: PositiveInt = 128,
        widths: list[PositiveInt] | None = None,
        filters: PositiveInt = 100,
        dropout: DropoutRate = 0.5,
        embedding_dropout: DropoutRate | None = None,
    ):
        self.widths = widths or [3, 4, 5]
        features = filters * len(self.widths)
        super().__init__(vocabulary_size, embedding_size, features, classes, dropout, embedding_dropout)
        self.convolutions = nn.ModuleList(nn.Conv1d(embedding_size, filters, width) for width in self.widths)

    def summarize(self, words: Int[Tensor, "batch time"]) -> Float[Tensor, "batch features"]:
        embedded = self.embed(words).transpose(1, 2)
        lengths = (words != PAD).sum(1)
        return torch.cat([self.pool(embedded, lengths, layer) for layer in self.convolutions], 1)

    def pool(
        self, embedded: Float[Tensor, "batch embedding time"], lengths: Int[Tensor, " batch"], layer: nn.Module
    ) -> Float[Tensor, "batch filters"]:
        """Return the maximum of each filter over the windows that contain at least one word."""
        assert isinstance(layer, nn.Conv1d)
        margin = layer.kernel_size[0] - 1
        values = F.relu(layer(F.pad(embedded, (margin, margin))))
        is_outside = torch.arange(values.shape[2], device=values.device) >= (lengths + margin)[:, None]
        return values.masked_fill(is_outside[:, None], 0).amax(2)


class SentenceLSTM(WordEncoder):
    """A bidirectional LSTM whose outputs are pooled over time.

    With `pooling: max`, a feature of the sentence is its maximum over the words (Conneau et al. 2017,
    arXiv:1705.02364). With `pooling: attention`, it is a weighted mean over the words, and a plot can show the weights
    (Lin et al. 2017, arXiv:1703.03130).
    """

    def __init__(
        self,
        vocabulary_size: int,
        classes: int,
        embedding_size: PositiveInt = 128,
        hidden_size: PositiveInt = 128,
        layers: LayerCount = 1,
        pooling: Literal["max", "attention"] = "max",
        dropout: DropoutRate = 0.5,
        embedding_dropout: DropoutRate | None = None,
    ):
        super().__init__(vocabulary_size, embedding_size, 2 * hidden_size, classes, dropout, embedding_dropout)
        self.encoder = nn.LSTM(embedding_size, hidden_size, layers, batch_first=True, bidirectional=True)
        self.attention = nn.Linear(2 * hidden_size, 1) if pooling == "attention" else None

    def encode(self, words: Int[Tensor, "batch time"]) -> Float[Tensor, "batch time features"]:
        lengths = (words != PAD).sum(1).clamp(min=1).cpu()
        packed = rnn.pack_padded_sequence(self.embed(words), lengths, batch_first=True, enforce_sorted=False)
        outputs, _ = self.encoder(packed)
        encoded: Tensor = rnn.pad_packed_sequence(outputs, batch_first=True, total_length=words.shape[1])[0]
        return encoded

    def summarize(self, words: Int[Tensor, "batch time"]) -> Float[Tensor, "batch features"]:
        encoded, is_padding = self.encode(words), words == PAD
        if self.attention is None:
            return encoded.masked_fill(is_padding[..., None], -torch.inf).amax(1)
        return (self.pooling_weights(encoded, is_padding)[..., None] * encoded).sum(1)

    def pooling_weights(
        self, encoded: Float[Tensor, "batch time features"], is_padding: Bool[Tensor, "batch time"]
    ) -> Float[Tensor, "batch time"]:
        assert self.attention is not None
        weights: Tensor = self.attention(encoded).squeeze(2).masked_fill(is_padding, -torch.inf).softmax(1)
        return weights

    def attention_weights(self, words: Int[Tensor, "batch time"]) -> Float[Tensor, "batch time"] | None:
        return None if self.attention is None else self.pooling_weights(self.encode(words), words == PAD)


class SentenceTransformer(WordEncoder):
    """A small Transformer encoder (Vaswani et al. 2017, arXiv:1706.03762), whose outputs are averaged over time."""

    def __init__(
        self,
        vocabulary_size: int,
        classes: int,
        hidden_size: PositiveInt = 128,
        feed_forward_size: PositiveInt = 256,
        heads: PositiveInt = 4,
        layers: LayerCount = 2,
        dropout: DropoutRate = 0.3,
    ):
        super().__init__(vocabulary_size, hidden_size, hidden_size, classes, dropout)
        nn.init.normal_(self.embedding.weight, std=hidden_size**-0.5)
        layer = nn.TransformerEncoderLayer(
            hidden_size, heads, feed_forward_size, dropout, batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, layers, nn.LayerNorm(hidden_size), enable_nested_tensor=False)

    def encode(self, words: Int[Tensor, "batch time"]) -> Float[Tensor, "batch time features"]:
        embedded = self.embedding(words) * math.sqrt(self.embedding.embedding_dim)
        positions = sinusoids(words.shape[1], self.embedding.embedding_dim, words.device)
        encoded: Tensor = self.encoder(self.dropout(embedded + positions), src_key_padding_mask=words == PAD)
        return encoded

    def summarize(self, words: Int[Tensor, "batch time"]) -> Float[Tensor, "batch features"]:
        is_word = (words != PAD)[..., None]
        return (self.encode(words) * is_word).sum(1) / is_word.sum(1)


def sinusoids(count: int, size: int, device: torch.device) -> Float[Tensor, "time size"]:
    """Return the sinusoidal encodings of the positions 0 to `count - 1` (arXiv:1706.03762, section 3.5)."""
    position = torch.arange(count, device=device)
    rate = torch.exp(torch.arange(0, size, 2, device=device) * (-math.log(10000.0) / size))
    return torch.cat([torch.sin(position[:, None] * rate), torch.cos(position[:, None] * rate)], 1)
