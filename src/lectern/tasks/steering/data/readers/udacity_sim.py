"""A recording of Udacity's simulator to the common form: `driving_log.csv` and the centre camera's `IMG/`."""

from pathlib import Path

import pandas as pd

from lectern.tasks.steering.data.readers.bad_rows import BadRows
from lectern.tasks.steering.data.readers.files import Files
from lectern.tasks.steering.data.readers.images import decode_files, drop_missing
from lectern.tasks.steering.data.readers.recording import Frames, Unit

LOG = "driving_log.csv"
UNIT = Unit("share of the full lock of 25 degrees", lock=1.0, right=1, degrees=150.0)
TIME = r"center_(\d{4}_\d\d_\d\d_\d\d_\d\d_\d\d_\d{3})\."  # the time is in the image's name


def read(raw: Path, faults: BadRows) -> tuple[pd.DataFrame, Unit]:
    """Angle and throttle are shares, brake too; speed is in miles per hour. Other cameras are not used."""
    files = Files(raw)
    log = files.read_table(LOG, ["center", "steering", "throttle", "brake", "speed"])
    names = log["center"].astype(str).str.replace("\\", "/")
    table = pd.DataFrame(
        {
            "drive": raw.name,
            "row": range(len(log)),
            "time": seconds(names),
            "angle": pd.to_numeric(log["steering"], "coerce"),
            **{name: pd.to_numeric(log[name], "coerce") for name in ("speed", "throttle", "brake")},
            "image": "IMG/" + names.str.rpartition("/")[2],  # logs hold the recorder's own absolute paths
        }
    )
    table["place"] = f"{files.top}, {LOG}, row " + table["row"].astype(str)
    return drop_missing(table, files, faults), UNIT


def open_frames(raw: Path) -> Frames:
    files = Files(raw)
    return lambda rows: decode_files(files, rows["image"])


def seconds(names: pd.Series) -> pd.Series:
    """`center_2016_12_01_13_30_48_287.jpg` to seconds since 1970; NaN where the name tells no time."""
    stamp = names.str.extract(TIME)[0]
    when = pd.to_datetime(stamp + "000", format="%Y_%m_%d_%H_%M_%S_%f", errors="coerce")
    return (when - pd.Timestamp(0)).dt.total_seconds()
