"""Define the limits of requests to a steering model, read uploaded files, and predict for complete drives."""

import gc
from collections import deque
from collections.abc import Generator, Iterator
from pathlib import Path

import numpy as np
from av import VideoFrame
from av.container import InputContainer
from av.video.stream import VideoStream

from lectern.errors import UserError
from lectern.tasks.steering.data.format.frames import prepare
from lectern.tasks.steering.data.readers.displayed_frame import displayed_frame, displayed_size
from lectern.tasks.steering.data.readers.videos import open_video, read_folder, read_video
from lectern.tasks.steering.model import inference
from lectern.tasks.steering.model.module import SteeringModel
from lectern.user_files.images import check_scans, read_image

MAX_ROWS = 16  # maximum number of windows in memory; a window can have 50 raw frames
SUPPORTS_BATCHING = False  # frames of different cameras have different sizes
VIDEO_FACTOR = 100  # largest number of pixels of a complete video, in multiples of the largest window


def read_picture(path: Path, module: SteeringModel, megapixels: float) -> Iterator[np.ndarray]:
    """Yield the picture in a file as a window of one frame."""
    yield np.asarray(read_image(path, megapixels).convert("RGB"))[None]


def read_drive(path: Path, module: SteeringModel, megapixels: float) -> Iterator[np.ndarray]:
    """Yield for each frame of a video the window (time, height, width, 3) that ends with the frame.

    At the start of the video, the first frame is repeated to fill the window.
    """
    window = module.network.window
    frames = read_folder(path) if path.is_dir() else read_limited_video(path, megapixels, window)
    recent: deque[np.ndarray] = deque(maxlen=window)
    for frame in frames:
        recent.extend([frame] * (1 if recent else window))
        yield np.stack(recent)


def read_limited_video(path: Path, megapixels: float, window: int = 1) -> Generator[np.ndarray, None, None]:
    """Yield the frames of a video, and free the memory of the decoder at the end.

    Raises UserError if a window has more than `megapixels` million pixels, or if all frames together have more than
    VIDEO_FACTOR times as many pixels.
    """
    frames = decode_video(path, megapixels, window)
    try:
        yield from frames
    finally:
        frames.close()
        gc.collect()  # the objects of PyAV refer to each other, so only a garbage collection frees the decoder


def decode_video(path: Path, megapixels: float, window: int) -> Generator[np.ndarray, None, None]:
    """Yield the frames of a video, and check their size."""
    with open_video(path) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        check_pixels(stream.codec_context.width, stream.codec_context.height, stream.frames, megapixels, window)
        if megapixels < np.inf:  # FFmpeg then allocates no memory for a larger frame; codecs can pad a frame
            stream.codec_context.options = {"max_pixels": str(int(2 * megapixels * 1e6))}
        for count, frame in enumerate(decode_packets(container, stream, megapixels), 1):
            check_pixels(*displayed_size(frame, stream), count, megapixels, window)
            yield displayed_frame(frame, stream)


def decode_packets(container: InputContainer, stream: VideoStream, megapixels: float) -> Iterator[VideoFrame]:
    """Yield the frames of a video stream. Raises UserError if a frame of an MJPEG video has too many scans."""
    for packet in container.demux(stream):
        if stream.codec_context.name == "mjpeg":
            check_scans(bytes(packet), stream.codec_context.width, stream.codec_context.height, megapixels)
        yield from packet.decode()


def check_pixels(width: int, height: int, frames: int, megapixels: float, window: int) -> None:
    """Raise UserError if a window of frames, or all frames together, have too many pixels."""
    if window * width * height > megapixels * 1e6:
        raise UserError(
            f"The network uses windows of {window} frames, and the frames have {width} x {height} "
            f"pixels; at most {megapixels:g} million pixels per window are allowed. Reduce the frame size."
        )
    if frames * width * height > VIDEO_FACTOR * megapixels * 1e6:
        raise UserError(
            f"The video has at least {frames} frames of {width} x {height} pixels; at most "
            f"{VIDEO_FACTOR * megapixels:g} million pixels in all are allowed. Reduce the frame size, or cut the video."
        )


PICTURES, VIDEOS = (".png", ".jpg", ".jpeg"), (".mp4", ".webm", ".avi", ".mov", ".mkv")
FILE_READERS = dict.fromkeys(PICTURES, read_picture) | dict.fromkeys(VIDEOS, read_drive)


def predict_drive(module: SteeringModel, frames: np.ndarray) -> inference.Predictions:
    """Return the predictions for the prepared frames of one uninterrupted sequence.

    `frames` has the type uint8 and the shape (n, height, width, 3).
    """
    return inference.predict_drive(module, frames)


def predict_video(module: SteeringModel, path: Path) -> Iterator[tuple[np.ndarray, dict[str, float]]]:
    """Yield each frame of a video or of a folder of images, uint8 (height, width, 3), with the predictions."""
    predictor = inference.StreamingPredictor(module)
    for frame in read_video(path):
        yield frame, predictor(prepare(frame, module.facts))
