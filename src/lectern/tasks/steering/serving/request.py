"""What may be asked of a steerer: windows of frames in JSON, a frame as a picture, a drive as a video."""

from collections import deque
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from lectern.errors import UserError
from lectern.serving.images import read_image
from lectern.tasks.steering.data.readers.videos import opened, read_folder

ROWS = 16  # windows in memory at a time, each of up to 50 raw frames
TOGETHER = False  # frames from different cameras have different sizes
PARAMETERS: dict = {}


def read_picture(path: Path, module, megapixels: float) -> Iterator[np.ndarray]:
    """A picture as a window of one frame."""
    yield np.asarray(read_image(path, megapixels).convert("RGB"))[None]


def read_drive(path: Path, module, megapixels: float) -> Iterator[np.ndarray]:
    """A video to a window (time, height, width, 3) a frame, the frame last; before the first stands the first."""
    window = module.network.window
    frames = read_folder(path) if path.is_dir() else read_checked(path, megapixels, window)
    recent: deque[np.ndarray] = deque(maxlen=window)
    for frame in frames:
        recent.extend([frame] * (1 if recent else window))
        yield np.stack(recent)


def read_checked(path: Path, megapixels: float, together: int = 1) -> Iterator[np.ndarray]:
    """The frames of a video. Raises UserError where so many of them together are larger than allowed."""
    with opened(path) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        for frame in container.decode(stream):
            if together * frame.width * frame.height > megapixels * 1e6:
                size = f"{together} frames of {frame.width} x {frame.height} pixels are looked at together"
                raise UserError(f"{size}; at most {megapixels:g} million are unpacked. Make the video smaller.")
            yield frame.to_ndarray(format="rgb24")


PICTURES, VIDEOS = (".png", ".jpg", ".jpeg"), (".mp4", ".webm", ".avi", ".mov", ".mkv")
FILES = dict.fromkeys(PICTURES, read_picture) | dict.fromkeys(VIDEOS, read_drive)
