"""A recorded drive or an uploaded video to a film for the browser, and the angles at each of its frames."""

import hashlib
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from lectern.artifacts.dataset import read_facts
from lectern.artifacts.paths import PROCESSED
from lectern.errors import UserError
from lectern.tasks.steering.data.format.frames import prepare
from lectern.tasks.steering.data.readers.videos import frame_rate
from lectern.tasks.steering.model import inference
from lectern.tasks.steering.serving.request import read_checked
from lectern.tasks.steering.serving.video_writer import write_video

WIDTH = 480  # pixels of a film at most
CHUNK = 64  # raw frames in memory at a time
KEPT = 30  # films; older ones are deleted


@dataclass(frozen=True)
class Drive:
    """A film, angles a frame in the unit of the data, and what that unit is to the wheel."""

    film: Path
    rate: float
    network: list[float]
    driver: list[float] | None
    unit: dict


def recorded(name: str) -> dict[str, slice]:
    """The test drives that lie here for a model, by a name to show; frames from which to which."""
    table_path = PROCESSED / name / "test.parquet"
    if not table_path.is_file():
        return {}
    rows = pd.read_parquet(table_path, columns=["run"]).groupby("run").indices.values()
    return {f"Test drive {number}": slice(one[0], one[-1] + 1) for number, one in enumerate(rows, 1)}


def replay(champion, rows: slice, films: Path, most: int) -> Drive:
    """A test drive as it was driven, beside what the champion would have done."""
    processed, rows = PROCESSED / champion.name, slice(rows.start, min(rows.stop, rows.start + most))
    frames = np.load(processed / "test_frames.npy", mmap_mode="r")[rows]
    angles = pd.read_parquet(processed / "test.parquet", columns=["angle"])["angle"].iloc[rows].tolist()
    rate = 1 / read_facts(processed)["step_seconds"]
    return make(champion, frames, rate, films, f"{champion.name} {rows} {rate}", angles)


def watch(champion, video: Path, films: Path, megapixels: float, most: int) -> Drive:
    """An uploaded video. Raises UserError for what is none, and beyond `most` frames."""
    digest = hashlib.sha256(video.read_bytes()).hexdigest()
    return make(champion, counted(read_checked(video, megapixels), most), frame_rate(video), films, digest, None)


def counted(frames: Iterable[np.ndarray], most: int) -> Iterator[np.ndarray]:
    for number, frame in enumerate(frames):
        if number >= most:
            raise UserError(f"The video has more than {most} frames; cut it, or use `lectern steer`.")
        yield frame


def make(
    champion, frames: Iterable[np.ndarray], rate: float, films: Path, key: str, driver: list[float] | None
) -> Drive:
    """One pass over the frames: each is filmed and prepared, and then the network is asked for all of them."""
    films.mkdir(exist_ok=True)
    film = films / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.mp4"
    part, prepared = film.with_suffix(".part.mp4"), []
    write_video(prepared_too(frames, champion.module.facts, prepared), part, max(1.0, rate))
    if not prepared:
        raise UserError("There is no frame in this video.")
    shutil.move(part, film)
    forget(films)
    network = inference.follow(champion.module, np.stack(prepared))["angle"]
    return Drive(film, max(1, round(rate)), network.tolist(), driver, champion.module.facts["unit"])


def prepared_too(frames: Iterable[np.ndarray], facts: dict, prepared: list[np.ndarray]) -> Iterator[np.ndarray]:
    """The frames, small enough for a film; on the way each is prepared for the network from its full size."""
    for frame in frames:
        prepared.append(prepare(frame, facts))
        yield small(frame)


def small(frame: np.ndarray) -> np.ndarray:
    """At most 480 pixels wide, and large enough for the codec."""
    height, width = frame.shape[:2]
    share = min(WIDTH, max(width, 64)) / width
    size = (max(16, round(width * share)), max(16, round(height * share)))
    return np.asarray(Image.fromarray(frame).resize(size)) if size != (width, height) else frame


def forget(films: Path) -> None:
    """Delete all but the newest."""
    for old in sorted(films.glob("*.mp4"), key=lambda path: path.stat().st_mtime)[:-KEPT]:
        old.unlink(missing_ok=True)
