"""What all networks of this room share: one embedding, and features to logits."""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

State = dict[str, Tensor]  # rows first, so that a search can pick and reorder sentences


class TiedEmbeddingDecoder(nn.Module):
    """What the networks share: one embedding for source, target and output (Press and Wolf 2017, arXiv:1608.05859)."""

    def __init__(self, vocabulary: int, width: int):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        nn.init.normal_(self.embedding.weight, std=width**-0.5)

    def logits(self, features: Float[Tensor, "*rows width"]) -> Float[Tensor, "*rows vocabulary"]:
        return F.linear(features, self.embedding.weight)
