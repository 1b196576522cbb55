"""Crop and resize raw frames to the input size of the networks."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from lectern.artifacts.dataset import Facts
from lectern.errors import UserError


@dataclass(frozen=True)
class Crop:
    """The fractions of a frame's height that are cut off, and the size to which the cropped frame is resized."""

    top: float  # fraction of the height, usually the sky
    bottom: float  # fraction of the height, usually the car's hood
    height: int  # pixels
    width: int


def shrink(frame: np.ndarray, crop: Crop) -> np.ndarray:
    """Crop and resize one raw frame, uint8 (height, width, 3).

    Returns uint8 (crop.height, crop.width, 3). If the frame gets smaller, Pillow's bilinear filter averages all pixels
    of the frame.
    """
    height, width = frame.shape[:2]
    box = (0, round(height * crop.top), width, height - round(height * crop.bottom))
    resized = Image.fromarray(frame).resize((crop.width, crop.height), Image.Resampling.BILINEAR, box=box)
    return np.asarray(resized)


def prepare(frames: np.ndarray, facts: Facts) -> np.ndarray:
    """Crop and resize raw RGB frames, uint8 (..., height, width, 3), with the values in `facts["prepare"]`.

    Returns uint8 frames of the network's input size, such as (..., 66, 200, 3). Raises UserError if `frames` is not
    uint8 or has a different shape.
    """
    frames = np.asarray(frames)
    if frames.ndim < 3 or frames.shape[-1] != 3 or frames.dtype != np.uint8 or 0 in frames.shape[-3:]:
        raise UserError(
            f"Frames must be uint8 of shape (..., height, width, 3); got {frames.dtype} of shape {frames.shape}."
        )
    crop = Crop(**facts["prepare"])
    prepared = [shrink(frame, crop) for frame in frames.reshape(-1, *frames.shape[-3:])]
    return np.array(prepared, np.uint8).reshape(*frames.shape[:-3], crop.height, crop.width, 3)
