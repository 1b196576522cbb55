"""Read frames from a video file with PyAV, or from a folder of images."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np
from av.codec.context import CodecContext
from av.container import InputContainer

from lectern.errors import UserError
from lectern.tasks.steering.data.readers.displayed_frame import displayed_frame
from lectern.tasks.steering.data.readers.images import decode_image, map_in_threads
from lectern.user_files.system_files import is_system_file

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
# FFmpeg opens only containers whose frames are in the file itself, and no playlist that refers to other files.
SELF_CONTAINED = {
    "format_whitelist": "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,h264,hevc,mpegts,mpeg,flv,ogg,gif",
    "protocol_whitelist": "file",
}
# number of frames per second for a folder of images, or for a video file that does not state its frame rate
DEFAULT_FRAME_RATE = 10.0


def read_video(path: Path) -> Iterator[np.ndarray]:
    """Yield the frames of a video or a folder of images, uint8 (height, width, 3) in RGB, one at a time.

    Raises UserError if the video is missing or damaged, or if the folder has no images.
    """
    if path.is_dir():
        yield from read_folder(path)
        return
    with open_video(path) as container:
        for frame in container.decode(video=0):
            yield displayed_frame(frame, container.streams.video[0])


def read_folder(path: Path) -> Iterator[np.ndarray]:
    """Yield the images in a folder, sorted by file name."""
    files = (file for file in path.iterdir() if not is_system_file(file.relative_to(path)))
    paths = sorted(file for file in files if file.suffix.lower() in IMAGE_SUFFIXES)
    if not paths:
        raise UserError(f"{path} contains no images ({', '.join(IMAGE_SUFFIXES)}).")
    frames = map_in_threads(lambda file: decode_image(file.read_bytes()), paths)
    for file, frame in zip(paths, frames, strict=True):
        if isinstance(frame, str):
            raise UserError(f"{file}: {frame}.")
        yield frame


def count_frames(path: Path) -> int:
    """Return the number of frames of a video without decoding the frames.

    The number of frames in the header of the video is not used, because it can be wrong.
    """
    with open_video(path) as container:
        return sum(packet.size > 0 for packet in container.demux(video=0))


def frame_rate(path: Path) -> float:
    """Return the number of frames per second of a video or a folder of images."""
    if path.is_dir():
        return DEFAULT_FRAME_RATE
    with open_video(path) as container:
        return float(container.streams.video[0].average_rate or DEFAULT_FRAME_RATE)


@contextmanager
def open_video(path: Path) -> Iterator[InputContainer]:
    """Open a video file for a block. Raises UserError if the file is missing, has no video stream or cannot be read."""
    if not path.is_file():
        raise UserError(f"{path} does not exist; expected a video or a folder of images.")
    try:
        with av.open(str(path), options=SELF_CONTAINED, metadata_errors="replace") as container:
            check_video_stream(container, path)
            yield container
    except av.FFmpegError as error:
        raise UserError(
            f"{path} cannot be read as a video: {error}. Expected a file such as .mp4, .mov, .mkv, .webm or .avi."
        ) from error


def check_video_stream(container: InputContainer, path: Path) -> None:
    """Raise UserError if a video file has no video stream, or if FFmpeg has no decoder for the video stream."""
    if not container.streams.video:
        raise UserError(f"{path} contains no video stream.")
    codec_context: CodecContext | None = container.streams.video[0].codec_context
    if codec_context is None:
        raise UserError(f"{path} cannot be read as a video: its codec is unknown. Convert the video to H.264.")
