"""Augment sequences of frames by mirroring, changes of brightness and shadows."""

import torch
from torch import Tensor


def random_choice(count: int, probability: float, device: torch.device) -> Tensor:
    """Return a bool tensor (count,) whose values are true with the given probability.

    The values are drawn with torch's global generator, whose state is part of each checkpoint.
    """
    return torch.rand(count, device=device) < probability


def mirror(frames: Tensor, mirrored: Tensor) -> Tensor:
    """Swap left and right in the selected sequences of frames (B, length, height, width, 3)."""
    return torch.where(mirrored.view(-1, 1, 1, 1, 1), frames.flip(3), frames)


def brightness_factors(frames: Tensor, brightness: float, shadow: float) -> Tensor:
    """Return random factors (B, 1, height, width, 1) for the pixels, equal for all frames of a sequence.

    Each sequence becomes brighter or darker by at most the fraction `brightness`. With the probability `shadow`, the
    part of the image to the left of a slanted line is darkened.
    """
    count, _, height, width = frames.shape[:4]
    draws = torch.rand(5, count, 1, 1, device=frames.device)
    rows = torch.linspace(0, 1, height, device=frames.device).view(1, -1, 1)
    columns = torch.linspace(0, 1, width, device=frames.device).view(1, 1, -1)
    edge = draws[0] + (draws[1] - draws[0]) * rows  # column of the slanted line in each row of the image
    shaded = (columns < edge) & (draws[2] < shadow)
    shade = torch.where(shaded, 0.4 + 0.5 * draws[3], 1.0)
    return (shade * (1 + brightness * (2 * draws[4] - 1))).view(count, 1, height, width, 1)
