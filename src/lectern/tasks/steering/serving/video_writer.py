"""Write frames to a video file with PyAV."""

import os
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.stream import VideoStream

from lectern.atomic import REMEDIES, remove_leftovers, report_write_error, sync, temporary_directory
from lectern.errors import UserError

SUFFIXES = (".mp4", ".mkv", ".mov", ".avi")  # file formats that can contain H.264
MAX_DENOMINATOR = 1001  # denominator of the usual non-integer frame rates, such as 30000/1001


def write_video(frames: Iterable[np.ndarray], path: Path, rate: float) -> None:
    """Write frames of equal size, uint8 (height, width, 3), to a video file with the codec H.264.

    The file gets its final name when the video is complete. H.264 requires an even height and an even width, so the
    last row of an odd height and the last column of an odd width are cut off. Raises UserError if the file format of
    `path` does not support H.264, or if the disk is full or cannot be written.
    """
    with report_write_error(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(path.parent, path.name)
        with temporary_directory(path.parent, path.name) as scratch:
            part = scratch / path.name  # PyAV selects the file format by the suffix
            try:
                encode_video(frames, part, rate)
            except (av.FFmpegError, ValueError) as error:
                if isinstance(error, av.FFmpegError) and error.errno in REMEDIES:
                    raise OSError(error.errno, error.strerror) from error
                raise UserError(
                    f"{path} cannot be written as a video: {error}. Use a file name such as drawn.mp4."
                ) from error
            sync(part)
            os.replace(part, path)


def encode_video(frames: Iterable[np.ndarray], path: Path, rate: float) -> None:
    """Encode frames to a new video file."""
    with av.open(str(path), "w") as container:
        stream: VideoStream | None = None
        for frame in frames:
            height, width = (side // 2 * 2 for side in frame.shape[:2])
            if stream is None:
                stream = container.add_stream("libx264", rate=Fraction(rate).limit_denominator(MAX_DENOMINATOR))
                stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
                stream.options = {"crf": "20", "threads": "2"}
            image = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame[:height, :width]), format="rgb24")
            container.mux(stream.encode(image))
        container.mux(stream.encode() if stream else [])
