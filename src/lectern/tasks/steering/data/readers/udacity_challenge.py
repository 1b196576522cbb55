"""Udacity's challenge 2, as the public reader unpacks its bags, to the common form: `interpolated.csv` and frames.

The reader is github.com/rwightman/udacity-driving-reader (`bagdump.py`): a folder a bag, each with its own log.
"""

from pathlib import Path, PurePosixPath

import pandas as pd

from lectern.tasks.steering.data.readers.bad_rows import BadRows
from lectern.tasks.steering.data.readers.files import Files
from lectern.tasks.steering.data.readers.images import decode_files, drop_missing
from lectern.tasks.steering.data.readers.recording import Frames, Unit

LOG = "interpolated.csv"
UNIT = Unit(
    "radians of the steering wheel", lock=9.0, right=-1, degrees=57.3
)  # one and a half turns, counter-clockwise positive
CAMERA = "center_camera"


def read(raw: Path, faults: BadRows) -> tuple[pd.DataFrame, Unit]:
    """Speed is in metres per second, torque in newton metres; the left and right cameras are not used."""
    files = Files(raw)
    drives = [read_drive(files, log, raw.name) for log in files.find(LOG)]
    table = pd.concat(drives, ignore_index=True)
    table["row"] = range(len(table))
    return drop_missing(table, files, faults), UNIT


def open_frames(raw: Path) -> Frames:
    files = Files(raw)
    return lambda rows: decode_files(files, rows["image"])


def read_drive(files: Files, log: str, name: str) -> pd.DataFrame:
    """One folder's log; the rows of the centre camera, each with what was interpolated at its time."""
    found = files.read_table(log, ["timestamp", "frame_id", "filename", "angle", "torque", "speed"])
    folder = PurePosixPath(log).parent
    table = pd.DataFrame(
        {
            "drive": str(folder) if folder.name else name,
            "time": pd.to_numeric(found["timestamp"], "coerce") / 1e9,
            **{name: pd.to_numeric(found[name], "coerce") for name in ("angle", "speed", "torque")},
            "image": [str(folder / str(image)) for image in found["filename"]],
            "place": [f"{files.top}, {log}, row {row}" for row in range(len(found))],
        }
    )
    return table[found["frame_id"] == CAMERA]
