"""Scale frames to the range that the networks expect."""

from torch import Tensor


def scale(frames: Tensor, factors: Tensor | float = 1.0) -> Tensor:
    """Scale uint8 frames (B, length, height, width, 3) to values from -1 to 1, shape (B, length, 3, height, width).

    Pixels are multiplied by the brightness `factors` and clipped. The model instead of the loader scales the frames, so
    that serving uses the same scaling. The permuted view keeps the channels-last memory layout, which is the fastest
    layout for the CNN.
    """
    return (frames * (factors / 127.5)).clamp_(0, 2).sub_(1).permute(0, 1, 4, 2, 3)
