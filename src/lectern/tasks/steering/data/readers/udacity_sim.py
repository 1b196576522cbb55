"""Read a recording of Udacity's simulator, with `driving_log.csv` and the images of the centre camera in `IMG/`."""

from pathlib import Path

import pandas as pd

from lectern.tasks.steering.data.readers.bad_rows import BadRows
from lectern.tasks.steering.data.readers.files import RecordingFiles
from lectern.tasks.steering.data.readers.images import decode_files, drop_missing
from lectern.tasks.steering.data.readers.recording import FrameDecoder, Unit

LOG = "driving_log.csv"
# The simulator writes these columns without a header. Udacity's sample recording has a header.
COLUMNS = ["center", "left", "right", "steering", "throttle", "brake", "speed"]
UNIT = Unit("share of the full lock of 25 degrees", lock=1.0, right=1, degrees=150.0)
TIME_IN_NAME = r"center_(\d{4}_\d\d_\d\d_\d\d_\d\d_\d\d_\d{3})\."


def read_table(raw: Path, bad_rows: BadRows) -> tuple[pd.DataFrame, Unit]:
    """Read the driving log with the images of the centre camera. The left and right cameras are not used.

    Angle, throttle and brake are fractions of the full range. Speed is in miles per hour.
    """
    files = RecordingFiles(raw)
    log = files.read_csv(LOG, ["center", "steering", "throttle", "brake", "speed"], without_header=COLUMNS)
    names = log["center"].astype(str).str.replace("\\", "/")
    table = pd.DataFrame(
        {
            "drive": raw.name,
            "row": range(len(log)),
            "time": parse_times(names),
            "angle": pd.to_numeric(log["steering"], "coerce"),
            **{name: pd.to_numeric(log[name], "coerce") for name in ("speed", "throttle", "brake")},
            "image": "IMG/" + names.str.rpartition("/")[2],  # the log can contain folders of another machine
        }
    )
    table["place"] = f"{files.top}, {LOG}, row " + table["row"].astype(str)
    return drop_missing(table, files, bad_rows), UNIT


def open_frames(raw: Path) -> FrameDecoder:
    files = RecordingFiles(raw)
    return lambda rows: decode_files(files, rows["image"])


def parse_times(names: pd.Series) -> pd.Series:
    """Convert names such as `center_2016_12_01_13_30_48_287.jpg` to seconds since 1970.

    A name without a time is converted to NaN.
    """
    time_text = names.str.extract(TIME_IN_NAME)[0]
    time = pd.to_datetime(time_text + "000", format="%Y_%m_%d_%H_%M_%S_%f", errors="coerce")
    return (time - pd.Timestamp(0)).dt.total_seconds()
