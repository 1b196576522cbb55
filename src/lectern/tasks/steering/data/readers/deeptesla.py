"""DeepTesla's videos to the common form: `epoch<k>_front.mkv` and `epoch<k>_steering.csv` (MIT 6.S094)."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from lectern.errors import UserError
from lectern.tasks.steering.data.readers.bad_rows import BadRows
from lectern.tasks.steering.data.readers.files import Files
from lectern.tasks.steering.data.readers.recording import Frames, Unit
from lectern.tasks.steering.data.readers.videos import count_frames, read_video

UNIT = Unit("degrees of the steering wheel", lock=540.0, right=1, degrees=1.0)
VIDEO, LOG = "_front.mkv", "_steering.csv"


def read(raw: Path, faults: BadRows) -> tuple[pd.DataFrame, Unit]:
    """A drive a video, a row a frame. A video and a log of different lengths stop: who would say which is right?"""
    files = Files(raw)
    drives = [read_drive(files, raw, name.removesuffix(VIDEO)) for name in files.find(VIDEO)]
    table = pd.concat(drives, ignore_index=True)
    table["row"] = range(len(table))
    return table, UNIT


def open_frames(raw: Path) -> Frames:
    return decode_rows  # its rows say where


def read_drive(files: Files, raw: Path, name: str) -> pd.DataFrame:
    """One video's log: `ts_micro` in microseconds, `frame_index`, `wheel` in degrees."""
    log = files.read_table(name + LOG, ["ts_micro", "frame_index", "wheel"])
    video = raw / (name + VIDEO)
    frames = count_frames(video)
    if frames != len(log):
        raise UserError(f"{video} holds {frames} frames, but {raw / (name + LOG)} {len(log)} rows; expected as many.")
    return pd.DataFrame(
        {
            "drive": Path(name).name,
            "time": pd.to_numeric(log["ts_micro"], "coerce") / 1e6,
            "angle": pd.to_numeric(log["wheel"], "coerce"),
            "place": [f"{raw / (name + LOG)}, row {row}" for row in range(len(log))],
            "video": str(video),
            "image": range(len(log)),
        }
    )


def decode_rows(rows: pd.DataFrame) -> Iterator[np.ndarray | str]:
    """The frames of these rows, each video decoded once from its start."""
    for video, wanted in rows.groupby("video", sort=False):
        numbers = set(wanted["image"])
        for number, frame in enumerate(read_video(Path(video))):
            if number in numbers:
                yield frame
