"""A video file to frames, by PyAV; a folder of images counts as a video too."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from lectern.errors import UserError
from lectern.tasks.steering.data.readers.images import decode, work_ahead

IMAGES = (".jpg", ".jpeg", ".png")
RATE = 10.0  # frames a second of a folder of images, which does not say


def read_video(path: Path) -> Iterator[np.ndarray]:
    """The frames, uint8 (height, width, 3) in RGB, one at a time.

    Raises UserError for a video that is missing or damaged, or a folder without images.
    """
    if path.is_dir():
        yield from read_folder(path)
        return
    with opened(path) as container:
        for frame in container.decode(video=0):
            yield frame.to_ndarray(format="rgb24")


def read_folder(path: Path) -> Iterator[np.ndarray]:
    """The images of a folder, by name."""
    names = sorted(name for name in path.iterdir() if name.suffix.lower() in IMAGES)
    if not names:
        raise UserError(f"{path} holds no image ({', '.join(IMAGES)}).")
    for name, frame in zip(names, work_ahead(lambda name: decode(name.read_bytes()), names), strict=True):
        if isinstance(frame, str):
            raise UserError(f"{name}: {frame}.")
        yield frame


def count_frames(path: Path) -> int:
    """How many frames a video holds, counted without decoding: what a header says can be wrong."""
    with opened(path) as container:
        return sum(packet.size > 0 for packet in container.demux(video=0))


def frame_rate(path: Path) -> float:
    """Frames a second."""
    if path.is_dir():
        return RATE
    with opened(path) as container:
        return float(container.streams.video[0].average_rate or RATE)


@contextmanager
def opened(path: Path):
    """A container with at least one video in it; what goes wrong while it is read is a message too."""
    import av

    if not path.is_file():
        raise UserError(f"{path} is not there; a video or a folder of images belongs here.")
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise UserError(f"{path} holds no video.")
            yield container
    except av.FFmpegError as error:
        raise UserError(f"{path} cannot be read as a video: {error}") from error
