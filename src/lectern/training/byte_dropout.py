"""Apply dropout on a CPU faster than PyTorch does."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from lectern.errors import UserError


class ByteDropout(nn.Module):
    """Dropout that needs one random byte per value. One random 64-bit integer therefore decides about eight values.

    On CPUs that are not from Intel, PyTorch's dropout draws only 100 million random values per second, in one thread.
    PyTorch's dropout takes 5 % of a training step with three GRU layers, and 14 % of a training step of a small
    Transformer. ByteDropout draws ten times as many random values per second. The dropout rate is rounded to a multiple
    of 1/256.
    """

    def __init__(self, rate: float):
        super().__init__()
        if not 0 <= rate < 1:
            raise UserError(f"dropout is {rate}; expected a number of at least 0 and below 1.")
        self.rate = rate

    def forward(self, values: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        if not self.training or self.rate == 0:
            return values
        if values.is_cuda:
            return F.dropout(values, self.rate)
        threshold = round(self.rate * 256)
        random = torch.empty(-(-values.numel() // 8), dtype=torch.int64).random_(-(2**63), None)
        keep = random.view(torch.uint8)[: values.numel()].view(values.shape) >= threshold
        return values * keep.to(values.dtype).mul_(256 / (256 - threshold))
