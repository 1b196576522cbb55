"""Convert a decoded video frame to the pixels that a player shows.

A video file can declare that its frames are rotated or mirrored, or that its pixels are not square. A phone stores an
upright video in this way. FFmpeg decodes the stored pixels, and ignores this information.
"""

from fractions import Fraction
from typing import Any

import av
import numpy as np
from PIL import Image

from lectern.errors import UserError

HDR_TRANSFERS = {16: "PQ", 18: "HLG"}  # FFmpeg's numbers of the transfer characteristics


def displayed_size(frame: av.VideoFrame, stream: av.VideoStream) -> tuple[int, int]:
    """Return the width and the height of a frame with square pixels, before its rotation."""
    return max(1, round(frame.width * (stream.sample_aspect_ratio or Fraction(1)))), frame.height


def displayed_frame(frame: av.VideoFrame, stream: av.VideoStream) -> np.ndarray:
    """Return a frame as uint8 (height, width, 3) in RGB.

    Raises UserError if the video has a high dynamic range, or if the rotation of its frames is not a multiple of 90
    degrees.
    """
    if frame.color_trc in HDR_TRANSFERS:
        raise UserError(
            f"The video has a high dynamic range ({HDR_TRANSFERS[frame.color_trc]}), so its colors depend on the "
            "player. Convert the video to a standard dynamic range (SDR)."
        )
    pixels: np.ndarray = frame.to_ndarray(format="rgb24")
    size = displayed_size(frame, stream)
    if size != (frame.width, frame.height):
        pixels = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR))
    return apply_display_matrix(pixels, display_matrix(frame))


def display_matrix(frame: av.VideoFrame) -> np.ndarray:
    """Return a matrix of shape (2, 2) with the values -1, 0 and 1.

    Its rows are the directions of the x axis and of the y axis after the rotation.

    Source: FFmpeg's documentation of `libavutil/display.h`.
    """
    matrix: Any = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return np.eye(2, dtype=int)
    axes: np.ndarray = np.sign(np.frombuffer(matrix, "=i4")[:9].reshape(3, 3)[:2, :2])
    if (np.abs(axes).sum(0) != 1).any() or (np.abs(axes).sum(1) != 1).any():
        raise UserError(
            "The video is rotated by an angle that is not a multiple of 90 degrees. Save the video without a rotation."
        )
    return axes


def apply_display_matrix(pixels: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """Rotate and mirror an image, (height, width, 3)."""
    if axes[0, 0] == 0:  # x becomes y, and y becomes x
        pixels, axes = pixels.transpose(1, 0, 2), axes[::-1]
    return np.ascontiguousarray(pixels[:: axes[1, 1], :: axes[0, 0]])
