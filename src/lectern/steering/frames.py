"""Raw frames of any size to frames as the network takes them: cropped, and of one small size."""

from dataclasses import dataclass

import numpy as np
from PIL import Image


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
