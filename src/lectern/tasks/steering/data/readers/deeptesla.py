"""Read the videos (`epoch<k>_front.mkv`) and logs (`epoch<k>_steering.csv`) of DeepTesla (MIT 6.S094)."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from lectern.errors import UserError
from lectern.tasks.steering.data.readers.bad_rows import BadRows
from lectern.tasks.steering.data.readers.files import RecordingFiles
from lectern.tasks.steering.data.readers.recording import DecodedFrame, FrameDecoder, Unit
from lectern.tasks.steering.data.readers.videos import count_frames, read_video

UNIT = Unit("degrees of the steering wheel", lock=540.0, right=1, degrees=1.0)
VIDEO, LOG = "_front.mkv", "_steering.csv"


def read_table(raw: Path, bad_rows: BadRows) -> tuple[pd.DataFrame, Unit]:
    """Read the logs of all videos. Each video is one drive.

    Raises UserError if a video and its log have different lengths, because rows could not be assigned to frames.
    """
    files = RecordingFiles(raw)
    drives = [read_drive(files, raw, name.removesuffix(VIDEO)) for name in files.find(VIDEO)]
    table = pd.concat(drives, ignore_index=True)
    table["row"] = range(len(table))
    return table, UNIT


def open_frames(raw: Path) -> FrameDecoder:
    return decode_rows  # each row contains the path of its video


def read_drive(files: RecordingFiles, raw: Path, name: str) -> pd.DataFrame:
    """Read the log of a video.

    The log has the columns `ts_micro` (microseconds), `frame_index` and `wheel` (degrees).
    """
    log = files.read_csv(name + LOG, ["ts_micro", "frame_index", "wheel"])
    video, log_path = raw / (name + VIDEO), raw / (name + LOG)
    frames = count_frames(video)
    if frames != len(log):
        raise UserError(
            f"{video} contains {frames} frames, but {log_path} has {len(log)} rows; expected the same number."
        )
    return pd.DataFrame(
        {
            "drive": Path(name).name,
            "time": pd.to_numeric(log["ts_micro"], "coerce") / 1e6,
            "angle": pd.to_numeric(log["wheel"], "coerce"),
            "place": [f"{log_path}, row {row}" for row in range(len(log))],
            "video": str(video),
            "image": range(len(log)),
        }
    )


def decode_rows(rows: pd.DataFrame) -> Iterator[DecodedFrame]:
    """Yield the frame of each row in `rows`. Each video is decoded once, from its start."""
    for video, video_rows in rows.groupby("video", sort=False):
        numbers = set(video_rows["image"])
        for number, frame in enumerate(read_video(Path(video))):
            if number in numbers:
                yield frame
