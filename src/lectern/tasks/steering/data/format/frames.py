"""Raw frames of any size to frames as the network takes them: cropped, and of one small size."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from lectern.artifacts.dataset import Facts
from lectern.errors import UserError


@dataclass(frozen=True)
class Crop:
    """What is left of a frame: shares of its height are cut off, the rest is resized to height x width pixels."""

    top: float  # the sky
    bottom: float  # the car's own hood
    height: int
    width: int


def shrink(frame: np.ndarray, crop: Crop) -> np.ndarray:
    """One raw frame, uint8 (height, width, 3), to uint8 (crop.height, crop.width, 3); each pixel is an average."""
    height, width = frame.shape[:2]
    box = (0, round(height * crop.top), width, height - round(height * crop.bottom))
    resized = Image.fromarray(frame).resize((crop.width, crop.height), Image.Resampling.BILINEAR, box=box)
    return np.asarray(resized)


def prepare(frames: np.ndarray, facts: Facts) -> np.ndarray:
    """Raw frames uint8 (..., height, width, 3) in RGB to what the network takes: (..., 66, 200, 3) as in the facts.

    Raises UserError for another shape or type.
    """
    frames = np.asarray(frames)
    if frames.ndim < 3 or frames.shape[-1] != 3 or frames.dtype != np.uint8 or 0 in frames.shape[-3:]:
        raise UserError(
            f"Frames must be uint8 of shape (..., height, width, 3); got {frames.dtype} of shape {frames.shape}."
        )
    crop = Crop(**facts["prepare"])
    small = [shrink(frame, crop) for frame in frames.reshape(-1, *frames.shape[-3:])]
    return np.array(small, np.uint8).reshape(*frames.shape[:-3], crop.height, crop.width, 3)
