"""A batch of images to the same digits, each a little moved, turned and resized."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def random_affine(images: Tensor, shift: float, rotate: float, scale: float) -> Tensor:
    """Images (B, 1, H, W), each changed by its own draw: shift in pixels, rotation in degrees, size as a share.

    All draws are uniform and come from torch's global generator, whose state a checkpoint holds.
    """
    if shift == rotate == scale == 0:
        return images
    count, _, height, _ = images.shape
    draws = torch.rand(4, count, device=images.device) * 2 - 1
    angle, size = draws[0] * math.radians(rotate), 1 + draws[1] * scale
    cosine, sine = torch.cos(angle) / size, torch.sin(angle) / size
    move = draws[2:] * shift * 2 / height  # grid_sample counts from -1 to 1
    rows = [torch.stack([cosine, -sine, move[0]], 1), torch.stack([sine, cosine, move[1]], 1)]
    grid = F.affine_grid(torch.stack(rows, 1), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)
