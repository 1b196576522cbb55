"""Augment a batch of images by random shifts, rotations, scalings, slants and stroke widths.

A network that is trained on distorted copies of its images makes fewer mistakes (Simard et al. 2003, "Best practices
for convolutional neural networks applied to visual document analysis").
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

DISTANCES = (0.2, 0.7)  # smallest and largest distance between the limits of ink in `random_stroke_width`


def random_affine(
    images: Float[Tensor, "batch 1 height width"], shift: float, rotate: float, scale: float, slant: float = 0.0
) -> Float[Tensor, "batch 1 height width"]:
    """Transform each image of a batch by a separate random shift, rotation, scaling and slant.

    `shift` is the largest shift in pixels. `rotate` is the largest angle in degrees. A `scale` of 0.1 changes the size
    by at most 10 %. A `slant` of 0.3 moves the top of an image by at most 0.3 pixels per row relative to the bottom.
    All random values are drawn uniformly with torch's global generator, whose state is part of each checkpoint.
    """
    if shift == rotate == scale == slant == 0:
        return images
    count, _, height, _ = images.shape
    draws = torch.rand(4, count, device=images.device) * 2 - 1
    angle, size = draws[0] * math.radians(rotate), 1 + draws[1] * scale
    cosine, sine = torch.cos(angle) / size, torch.sin(angle) / size
    offset = draws[2:] * shift * 2 / height  # grid_sample uses coordinates from -1 to 1
    shear = draw_slants(count, slant, images.device)
    rows = [
        torch.stack([cosine, cosine * shear - sine, offset[0]], 1),
        torch.stack([sine, sine * shear + cosine, offset[1]], 1),
    ]
    grid = F.affine_grid(torch.stack(rows, 1), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def draw_slants(count: int, slant: float, device: torch.device) -> Float[Tensor, " count"]:
    """Return random slants from `-slant` to `slant`.

    If `slant` is 0, no random values are drawn, so that the weights of models without slant do not change.
    """
    if slant == 0:
        return torch.zeros(count, device=device)
    return (torch.rand(count, device=device) * 2 - 1) * slant


def random_stroke_width(
    images: Float[Tensor, "batch 1 height width"], stroke_width: float
) -> Float[Tensor, "batch 1 height width"]:
    """Make the strokes of each image of a batch thinner or wider, and sharpen the edges of the strokes.

    Ink below a random lower limit becomes background, and ink above an upper limit becomes full ink. Low limits make
    strokes wider, because the faint edges of the strokes become full ink. High limits make strokes thinner. A
    `stroke_width` of 0 changes nothing, and with a `stroke_width` of 1, the limits can be anywhere between background
    and full ink. The darkest and the brightest value of an image do not change.
    """
    if stroke_width == 0:
        return images
    draws = torch.rand(2, len(images), 1, 1, 1, device=images.device)
    distance = DISTANCES[0] + (DISTANCES[1] - DISTANCES[0]) * draws[0]
    lower = (1 - distance) / 2 * (1 + stroke_width * (2 * draws[1] - 1))
    darkest, brightest = (limit(images, (1, 2, 3), keepdim=True) for limit in (torch.amin, torch.amax))
    ink = (images - darkest) / (brightest - darkest).clamp(min=1e-6)  # a blank image has no range of ink
    return torch.lerp(darkest, brightest, ((ink - lower) / distance).clamp(0, 1))
