"""Define the network that is exported to ONNX for a digit classifier."""

import torch
from torch import Tensor, nn

from lectern.tasks.digits.data.format.images import IMAGE_SIZE

INPUT_NAME, OUTPUT_NAME = "images", "probabilities"


class OnnxClassifier(nn.Module):
    """A network that converts raw images to probabilities.

    The network includes the scaling of the pixels and the softmax.
    """

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module

    def forward(self, images: Tensor) -> Tensor:
        """Return the probabilities (n, 10) of uint8 images (n, 28, 28)."""
        logits: Tensor = self.module(images)
        return logits.softmax(1)


def exportable_network(module: nn.Module) -> nn.Module:
    """Return the network that is exported to ONNX."""
    return OnnxClassifier(module)


def example_inputs(module: nn.Module, rows: int) -> Tensor:
    """Return random images that are used to trace the network and to compare the outputs of ONNX and PyTorch."""
    generator = torch.Generator().manual_seed(rows)
    return torch.randint(0, 256, (rows, IMAGE_SIZE, IMAGE_SIZE), dtype=torch.uint8, generator=generator)
