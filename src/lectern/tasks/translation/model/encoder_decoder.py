"""Define the interface that all translation networks share."""

from abc import ABC, abstractmethod

from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

State = dict[str, Tensor]  # Dimension 0 of each tensor is the batch, so that the search can select and reorder rows.


class EncoderDecoder(nn.Module, ABC):
    """A network with one embedding for source, target and output (Press and Wolf 2017, arXiv:1608.05859).

    `forward` computes features for all target positions in one call, for training. `start` and `step` compute the same
    features one position at a time, for the search. `logits` converts features to one score per token of the
    vocabulary.
    """

    supports_scheduled_sampling: bool  # true if the decoder can read its own predictions in training

    def __init__(self, vocabulary_size: int, embedding_size: int):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary_size, embedding_size)
        nn.init.normal_(self.embedding.weight, std=embedding_size**-0.5)

    def logits(self, features: Float[Tensor, "*rows embedding"]) -> Float[Tensor, "*rows vocabulary"]:
        return F.linear(features, self.embedding.weight)

    @abstractmethod
    def forward(
        self, source: Int[Tensor, "batch source"], target: Int[Tensor, "batch target"], teacher_forcing: float = 1.0
    ) -> Float[Tensor, "batch target embedding"]:
        """Return the features that predict the token after each target token.

        `teacher_forcing` is the probability that the decoder reads the target token and not its own prediction.
        """

    @abstractmethod
    def start(self, source: Int[Tensor, "batch source"]) -> tuple[State, State]:
        """Encode the source.

        Return the memory, which does not change during the search, and the first state of the decoder.
        """

    @abstractmethod
    def step(self, memory: State, state: State, tokens: Int[Tensor, " rows"]) -> tuple[Tensor, State]:
        """Return the features (rows, embedding) that predict the token after `tokens`, and the next state."""

    @abstractmethod
    def attention_weights(
        self, source: Int[Tensor, "batch source"], target: Int[Tensor, "batch target"]
    ) -> Float[Tensor, "batch layers heads target source"] | None:
        """Return the weight of each source token at each target position, or None for a network without attention."""
