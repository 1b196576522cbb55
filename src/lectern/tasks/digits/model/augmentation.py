"""Augment a batch of images by random shifts, rotations and scalings."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def random_affine(images: Tensor, shift: float, rotate: float, scale: float) -> Tensor:
    """Transform each image of a batch (B, 1, H, W) by a separate random shift, rotation and scaling.

    `shift` is the largest shift in pixels. `rotate` is the largest angle in degrees. A `scale` of 0.1 changes the size
    by at most 10 %. All random values are drawn uniformly with torch's global generator, whose state is part of each
    checkpoint.
    """
    if shift == rotate == scale == 0:
        return images
    count, _, height, _ = images.shape
    draws = torch.rand(4, count, device=images.device) * 2 - 1
    angle, size = draws[0] * math.radians(rotate), 1 + draws[1] * scale
    cosine, sine = torch.cos(angle) / size, torch.sin(angle) / size
    offset = draws[2:] * shift * 2 / height  # grid_sample uses coordinates from -1 to 1
    rows = [torch.stack([cosine, -sine, offset[0]], 1), torch.stack([sine, cosine, offset[1]], 1)]
    grid = F.affine_grid(torch.stack(rows, 1), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)
