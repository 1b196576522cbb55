"""Prepare a recorded test drive or an uploaded video for playback in the browser."""

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from lectern.artifacts.dataset import read_facts
from lectern.artifacts.paths import PROCESSED
from lectern.atomic import temporary_directory
from lectern.errors import UserError
from lectern.serving.champions import Champion
from lectern.serving.deadline import check_current_deadline
from lectern.tasks.steering.data.format.frames import prepare
from lectern.tasks.steering.data.readers.videos import count_frames, frame_rate
from lectern.tasks.steering.serving.request import read_limited_video
from lectern.tasks.steering.serving.video_progress import VideoProgress
from lectern.tasks.steering.serving.video_writer import write_video

MAX_WIDTH = 480  # pixels
MAX_VIDEOS = 30  # maximum number of videos in the directory; older videos are deleted


@dataclass(frozen=True)
class Drive:
    """A drive whose frames have been read, so that several versions can predict its angles."""

    video: Path  # the file for the player of the page
    rate: float  # frames per second
    frames: np.ndarray  # uint8 (n, height, width, 3), in the network's input size
    size: dict[str, Any]  # `facts["prepare"]` of the network
    driver: list[float] | None

    def fits(self, version: Champion) -> bool:
        """Return whether the frames have the input size of a version."""
        return bool(self.size == version.model.facts["prepare"])


@dataclass(frozen=True)
class Playback:
    """A video with the network's angle at each frame, and with the driver's angle if the driver's angle is known."""

    video: Path
    rate: float  # frames per second
    network: list[float]
    driver: list[float] | None
    unit: dict[str, Any]  # unit of the angles, see `facts["unit"]`


def list_test_drives(name: str) -> dict[str, slice]:
    """Return a dict that maps the title of each test drive to the rows of the test drive in the test data.

    The dict is empty if this machine does not have the dataset.
    """
    path = PROCESSED / name / "test.parquet"
    if not path.is_file():
        return {}
    runs = pd.read_parquet(path, columns=["run"]).groupby("run").indices.values()
    return {f"Test drive {number}": slice(int(rows[0]), int(rows[-1]) + 1) for number, rows in enumerate(runs, 1)}


def read_test_drive(
    champion: Champion, rows: slice, directory: Path, max_frames: int, progress: VideoProgress
) -> Drive:
    """Read the first `max_frames` frames of a test drive, with the recorded angles of the driver."""
    progress.has_started = True
    processed, rows = PROCESSED / champion.name, slice(rows.start, min(rows.stop, rows.start + max_frames))
    recorded = np.load(processed / "test_frames.npy", mmap_mode="r")[rows]
    angles = pd.read_parquet(processed / "test.parquet", columns=["angle"])["angle"].iloc[rows].tolist()
    rate = 1 / read_facts(processed)["step_seconds"]
    frames = progress.count(recorded, len(recorded))
    return write_drive(champion, frames, rate, directory, f"{champion.name} {rows} {rate}", angles)


def read_uploaded_drive(
    champion: Champion, video: Path, directory: Path, megapixels: float, max_frames: int, progress: VideoProgress
) -> Drive:
    """Read an uploaded video, and write it for the player.

    Raises UserError if the video cannot be read or has more than `max_frames` frames.
    """
    progress.has_started = True
    with video.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    total = min(count_frames(video), max_frames)
    # Close the decoder here: the traceback of an exception would otherwise keep its memory for minutes.
    with closing(read_limited_video(video, megapixels)) as decoded:
        frames = progress.count(limit_frames(decoded, max_frames), total)
        return write_drive(champion, frames, frame_rate(video), directory, digest, None)


def limit_frames(frames: Iterable[np.ndarray], max_frames: int) -> Iterator[np.ndarray]:
    """Yield the frames unchanged, until the time limit of the prediction in this thread.

    Raises UserError if there are more than `max_frames` frames.
    """
    for number, frame in enumerate(frames):
        check_current_deadline()
        if number >= max_frames:
            raise UserError(f"The video has more than {max_frames} frames. Cut the video, or use `lectern steer`.")
        yield frame


def write_drive(
    champion: Champion, frames: Iterable[np.ndarray], rate: float, directory: Path, key: str, driver: list[float] | None
) -> Drive:
    """Write the frames to a video, and shrink them to the network's input size.

    The frames are read only once. The name of the video file is a hash of `key`.
    """
    directory.mkdir(exist_ok=True)
    video, rate = directory / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.mp4", max(1.0, rate)
    prepared = write_and_prepare(frames, champion.model.facts, video, rate)
    delete_old_videos(directory)
    return Drive(video, rate, prepared, champion.model.facts["prepare"], driver)


def predict_playback(version: Champion, drive: Drive) -> Playback:
    """Predict the angle at each frame of a drive."""
    network = version.model.call("predict_drive", drive.frames)["angle"]
    return Playback(drive.video, drive.rate, network.tolist(), drive.driver, version.model.facts["unit"])


def write_and_prepare(frames: Iterable[np.ndarray], facts: dict[str, Any], video: Path, rate: float) -> np.ndarray:
    """Write the frames to a video file, and return the frames in the network's input size.

    Several visitors can write the same file at the same time. Raises UserError if there are no frames.
    """
    prepared: list[np.ndarray] = []
    with temporary_directory(video.parent) as scratch:
        part = scratch / video.name
        write_video(shrink_and_prepare(frames, facts, prepared), part, rate)
        if not prepared:
            raise UserError("The video contains no frames.")
        part.replace(video)
    return np.stack(prepared)


def shrink_and_prepare(
    frames: Iterable[np.ndarray], facts: dict[str, Any], prepared: list[np.ndarray]
) -> Iterator[np.ndarray]:
    """Yield each frame in the size of the video, and append it in the network's input size to `prepared`."""
    for frame in frames:
        prepared.append(prepare(frame, facts))
        yield shrink_for_video(frame)


def shrink_for_video(frame: np.ndarray) -> np.ndarray:
    """Resize a frame to a width from 64 to 480 pixels. The video codec needs at least 16 pixels per side."""
    height, width = frame.shape[:2]
    factor = min(MAX_WIDTH, max(width, 64)) / width
    size = (max(16, round(width * factor)), max(16, round(height * factor)))
    return np.asarray(Image.fromarray(frame).resize(size)) if size != (width, height) else frame


def delete_old_videos(directory: Path) -> None:
    """Delete old videos, and keep the newest MAX_VIDEOS videos."""
    for old in sorted(directory.glob("*.mp4"), key=lambda path: path.stat().st_mtime)[:-MAX_VIDEOS]:
        old.unlink(missing_ok=True)
