"""A batch of stretches to the same drives, some mirrored, in another light, with a shadow across the road."""

import torch
from torch import Tensor


def coin(count: int, chance: float, device: torch.device) -> Tensor:
    """bool (count,), each true with that chance; from torch's global generator, whose state a checkpoint holds."""
    return torch.rand(count, device=device) < chance


def mirror(frames: Tensor, mirrored: Tensor) -> Tensor:
    """Frames (B, length, height, width, 3) with left and right changed in those stretches."""
    return torch.where(mirrored.view(-1, 1, 1, 1, 1), frames.flip(3), frames)


def light(frames: Tensor, brightness: float, shadow: float) -> Tensor:
    """Factors (B, 1, height, width, 1) to multiply pixels with, the same over a stretch as light would be.

    Every stretch is made up to `brightness` (a share) brighter or darker; with the chance `shadow` one side of a
    slanting line lies in shade.
    """
    count, _, height, width = frames.shape[:4]
    draws = torch.rand(5, count, 1, 1, device=frames.device)
    rows = torch.linspace(0, 1, height, device=frames.device).view(1, -1, 1)
    columns = torch.linspace(0, 1, width, device=frames.device).view(1, 1, -1)
    edge = draws[0] + (draws[1] - draws[0]) * rows  # from one place at the top to another at the bottom
    shaded = (columns < edge) & (draws[2] < shadow)
    shade = torch.where(shaded, 0.4 + 0.5 * draws[3], 1.0)
    return (shade * (1 + brightness * (2 * draws[4] - 1))).view(count, 1, height, width, 1)
