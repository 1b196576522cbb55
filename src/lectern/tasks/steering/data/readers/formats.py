"""List the supported formats of recordings, and read a recording in a supported format."""

from pathlib import Path
from typing import Protocol

import pandas as pd

from lectern.config import nearest
from lectern.errors import UserError
from lectern.tasks.steering.data.readers import deeptesla, donkey, rosbag, udacity_challenge, udacity_sim
from lectern.tasks.steering.data.readers.bad_rows import BadRows
from lectern.tasks.steering.data.readers.recording import FrameDecoder, Recording, Unit


class Reader(Protocol):
    """The functions that the reader module of each format must define."""

    def read_table(self, raw: Path, bad_rows: BadRows) -> tuple[pd.DataFrame, Unit]: ...

    def open_frames(self, raw: Path) -> FrameDecoder: ...


READERS: dict[str, Reader] = {
    "udacity_sim": udacity_sim,
    "donkey": donkey,
    "udacity_challenge": udacity_challenge,
    "rosbag": rosbag,
    "deeptesla": deeptesla,
}


def read_recording(reader: str, raw: Path, bad_rows: BadRows) -> Recording:
    """Return the recording in the folder `raw`.

    Raises UserError if the format is unknown, or if the files of the recording are missing or invalid.
    """
    if reader not in READERS:
        raise UserError(
            f"preprocess.reader: unknown format {reader!r}{nearest(reader, list(READERS))} "
            f"Supported formats: {', '.join(READERS)}."
        )
    table, unit = READERS[reader].read_table(raw, bad_rows)
    if table.empty:
        raise UserError(f"{raw} contains no usable frame of the format {reader!r}.")
    return Recording(table, unit, open_frames(reader, raw))


def open_frames(reader: str, raw: Path) -> FrameDecoder:
    """Return the function that decodes the frames of the recording in `raw`, without reading the logs again."""
    return READERS[reader].open_frames(raw)
