"""A classifier of digits to what ONNX can hold: uint8 images in, probabilities out, as in the signature."""

import torch
from torch import Tensor, nn

from lectern.tasks.digits.data.format.images import SIDE

INPUT, OUTPUT = "images", "probabilities"


class Exported(nn.Module):
    """Scaling and softmax are part of it: who runs it cannot forget them."""

    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, images: Tensor) -> Tensor:
        """uint8 (n, 28, 28) to (n, 10)."""
        return self.module(images).softmax(1)


def exportable(module) -> nn.Module:
    return Exported(module)


def example(module, rows: int) -> Tensor:
    """Images to trace and to compare with."""
    random = torch.Generator().manual_seed(rows)
    return torch.randint(0, 256, (rows, SIDE, SIDE), dtype=torch.uint8, generator=random)
