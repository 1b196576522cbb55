"""Frames as they are packed to numbers that a network can take."""

from torch import Tensor


def scale(frames: Tensor, factors: Tensor | float = 1.0) -> Tensor:
    """uint8 frames (B, length, height, width, 3), in a light, to -1 to 1 and (B, length, 3, height, width).

    Here and not in the loader: serving cannot forget it. Memory stays as it is, which is what the CNN is fastest on.
    """
    return (frames * (factors / 127.5)).clamp_(0, 2).sub_(1).permute(0, 1, 4, 2, 3)
