"""Generate a recording of a rendered road in the format of Udacity's simulator."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from lectern.errors import UserError
from lectern.tasks.steering.data.progress import progress
from lectern.tasks.steering.data.renderer import render
from lectern.tasks.steering.data.road import MILES_PER_HOUR, STEP_SECONDS, simulate_drive

DRIVES = 4
PAUSE_SECONDS = 60  # seconds between two drives
CHUNK = 100  # number of frames that are rendered together
START = pd.Timestamp("2000-01-01")  # the file names of the images contain the time, as in Udacity's simulator


def make(out: Path, frames: int = 0, seed: int = 0, bring: str | None = None) -> None:
    """Write `sample_road.zip` with `driving_log.csv` and `IMG/center_*.jpg` of four drives on different roads.

    If `bring` is given, the user must provide the recording, and `make` only raises UserError with the instructions
    `bring`.
    """
    if bring:
        raise UserError(
            f"{out.parent.name} cannot be downloaded. Put your own recording into {out.parent}: {bring}. "
            f"Then run `python pipelines/preprocess.py dataset={out.parent.name}`."
        )
    with zipfile.ZipFile(out / "sample_road.zip", "w", zipfile.ZIP_STORED) as archive:
        drives = progress(range(DRIVES), "rendering the road", DRIVES, "drive")
        log = pd.concat([record_drive(number, frames // DRIVES, seed, archive) for number in drives])
        text = log.to_csv(index=False, float_format="%.6f", lineterminator="\n")
        archive.writestr(zipfile.ZipInfo("driving_log.csv"), text)


def record_drive(number: int, frames: int, seed: int, archive: zipfile.ZipFile) -> pd.DataFrame:
    """Write the images of one simulated drive to the archive, and return the log of the drive."""
    random = np.random.default_rng([seed, number])
    drive = simulate_drive(frames, random)
    start = START + pd.Timedelta(seconds=number * (frames * STEP_SECONDS + PAUSE_SECONDS))
    times = start + pd.to_timedelta(np.arange(frames) * STEP_SECONDS, unit="s")
    names = [f"IMG/center_{time:%Y_%m_%d_%H_%M_%S}_{time.microsecond // 1000:03d}.jpg" for time in times]
    for first in range(0, frames, CHUNK):
        rows = slice(first, first + CHUNK)
        for name, frame in zip(names[rows], render(drive, rows, random), strict=True):
            # a ZipInfo without a time has the fixed date 1980, so equal frames give equal archives
            archive.writestr(zipfile.ZipInfo(name), encode_jpeg(frame))
    return pd.DataFrame(
        {"center": names, "left": "", "right": "", "steering": drive.steering, "throttle": drive.throttle,
         "brake": 0.0, "speed": drive.speed * MILES_PER_HOUR}
    )  # fmt: skip


def encode_jpeg(frame: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(frame).save(file, "JPEG", quality=90)
    return file.getvalue()
