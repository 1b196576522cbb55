"""Read the unpacked bags of Udacity's challenge 2.

The user must unpack the bags with `bagdump.py` of github.com/rwightman/udacity-driving-reader. For each bag,
`bagdump.py` writes a folder with the frames and the log `interpolated.csv`.
"""

from pathlib import Path, PurePosixPath

import pandas as pd

from lectern.tasks.steering.data.readers.bad_rows import BadRows
from lectern.tasks.steering.data.readers.files import RecordingFiles
from lectern.tasks.steering.data.readers.images import decode_files, drop_missing
from lectern.tasks.steering.data.readers.recording import FrameDecoder, Unit

LOG = "interpolated.csv"
# The lock of 9 radians is about one and a half turns of the steering wheel. Counter-clockwise angles are positive.
UNIT = Unit("radians of the steering wheel", lock=9.0, right=-1, degrees=57.3)
CAMERA = "center_camera"


def read_table(raw: Path, bad_rows: BadRows) -> tuple[pd.DataFrame, Unit]:
    """Read the logs in all folders. Speed is in metres per second and torque in newton metres."""
    files = RecordingFiles(raw)
    drives = [read_drive(files, log, raw.name) for log in files.find(LOG)]
    table = pd.concat(drives, ignore_index=True)
    table["row"] = range(len(table))
    return drop_missing(table, files, bad_rows), UNIT


def open_frames(raw: Path) -> FrameDecoder:
    files = RecordingFiles(raw)
    return lambda rows: decode_files(files, rows["image"])


def read_drive(files: RecordingFiles, log_name: str, origin: str) -> pd.DataFrame:
    """Return the rows of the centre camera in the log of one folder."""
    log = files.read_csv(log_name, ["timestamp", "frame_id", "filename", "angle", "torque", "speed"])
    folder = PurePosixPath(log_name).parent
    table = pd.DataFrame(
        {
            "drive": str(folder) if folder.name else origin,
            "time": pd.to_numeric(log["timestamp"], "coerce") / 1e9,
            **{column: pd.to_numeric(log[column], "coerce") for column in ("angle", "speed", "torque")},
            "image": [str(folder / str(image)) for image in log["filename"]],
            "place": [f"{files.top}, {log_name}, row {row}" for row in range(len(log))],
        }
    )
    return table[log["frame_id"] == CAMERA]
