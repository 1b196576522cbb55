"""Create the convolutions of PilotNet (Bojarski et al. 2016, arXiv:1604.07316), which all steering networks use."""

import torch
from torch import nn
from torch.nn.utils.memory_format import convert_conv2d_weight_memory_format

from lectern.errors import UserError

CHANNELS = (24, 36, 48, 64, 64)
KERNELS = (5, 5, 5, 3, 3)
STRIDES = (2, 2, 2, 1, 1)


def create_encoder() -> nn.Sequential:
    """Create five convolutions with ReLU that encode a frame.

    A frame of 66x200 pixels becomes a vector of 1152 values.
    """
    layers: list[nn.Module] = []
    for channels_in, channels, kernel, stride in zip((3, *CHANNELS), CHANNELS, KERNELS, STRIDES, strict=False):
        layers += [nn.Conv2d(channels_in, channels, kernel, stride), nn.ReLU()]
    encoder = nn.Sequential(*layers, nn.Flatten())
    return convert_conv2d_weight_memory_format(encoder, torch.channels_last)


def encoded_size(height: int, width: int) -> int:
    """Return the size of an encoded frame, such as 1152 for 66x200. Raises UserError if the frame is too small."""
    rows, columns = height, width
    for kernel, stride in zip(KERNELS, STRIDES, strict=True):
        rows, columns = (rows - kernel) // stride + 1, (columns - kernel) // stride + 1
    if min(rows, columns) < 1:
        raise UserError(
            f"Frames of {height} x {width} pixels are too small for the five convolutions. "
            "Set preprocess.height and preprocess.width to a larger size; 66 x 200 is usual."
        )
    return CHANNELS[-1] * rows * columns
