"""A seed to a recording of a drawn road, in the format of Udacity's simulator."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from lectern.errors import UserError
from lectern.tasks.steering.data.progress import progress
from lectern.tasks.steering.data.renderer import render
from lectern.tasks.steering.data.road import MILES_PER_HOUR, STEP_SECONDS, drive

DRIVES, PAUSE = 4, 60  # as many drives, and seconds between them
CHUNK = 100  # frames that are drawn together
START = pd.Timestamp("2000-01-01")  # the time is in the images' names, as in the simulator


def make(out: Path, frames: int = 0, seed: int = 0, bring: str | None = None) -> None:
    """Write `sample_road.zip`: `driving_log.csv` and `IMG/center_*.jpg` of four drives over roads of their own.

    With `bring` nothing is made: the recording is the user's own, and a UserError says what to put where.
    """
    if bring:
        raise UserError(
            f"{out.parent.name} cannot be downloaded. Bring your own recording: {bring}, into {out.parent}; "
            f"then run: python pipelines/preprocess.py dataset={out.parent.name}"
        )
    with zipfile.ZipFile(out / "sample_road.zip", "w", zipfile.ZIP_STORED) as archive:
        drives = progress(range(DRIVES), "drawing the road", DRIVES, "drive")
        log = pd.concat([record(number, frames // DRIVES, seed, archive) for number in drives])
        text = log.to_csv(index=False, float_format="%.6f", lineterminator="\n")
        archive.writestr(zipfile.ZipInfo("driving_log.csv"), text)


def record(number: int, frames: int, seed: int, archive: zipfile.ZipFile) -> pd.DataFrame:
    """One drive: its images into the archive, its log returned."""
    random = np.random.default_rng([seed, number])
    driven = drive(frames, random)
    begin = START + pd.Timedelta(seconds=number * (frames * STEP_SECONDS + PAUSE))
    times = begin + pd.to_timedelta(np.arange(frames) * STEP_SECONDS, unit="s")
    names = [f"IMG/center_{time:%Y_%m_%d_%H_%M_%S}_{time.microsecond // 1000:03d}.jpg" for time in times]
    for start in range(0, frames, CHUNK):
        rows = slice(start, start + CHUNK)
        for name, frame in zip(names[rows], render(driven, rows, random), strict=True):
            archive.writestr(zipfile.ZipInfo(name), encode(frame))  # ZipInfo: the time of 1980 in every copy
    return pd.DataFrame(
        {"center": names, "left": "", "right": "", "steering": driven.steering, "throttle": driven.throttle,
         "brake": 0.0, "speed": driven.speed * MILES_PER_HOUR}
    )  # fmt: skip


def encode(frame: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(frame).save(file, "JPEG", quality=90)
    return file.getvalue()
