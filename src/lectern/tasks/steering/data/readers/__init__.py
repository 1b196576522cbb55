"""A raw folder to a recording, by the name of its format."""

from pathlib import Path
from types import ModuleType

from lectern.config import nearest
from lectern.errors import UserError
from lectern.tasks.steering.data.readers import deeptesla, donkey, rosbag, udacity_challenge, udacity_sim
from lectern.tasks.steering.data.readers.bad_rows import BadRows
from lectern.tasks.steering.data.readers.recording import Frames, Recording

READERS: dict[str, ModuleType] = {
    "udacity_sim": udacity_sim,
    "donkey": donkey,
    "udacity_challenge": udacity_challenge,
    "rosbag": rosbag,
    "deeptesla": deeptesla,
}


def read(reader: str, raw: Path, faults: BadRows) -> Recording:
    """The recording in `raw`. Raises UserError for a format that is unknown, or files that are not of it."""
    if reader not in READERS:
        raise UserError(
            f"preprocess.reader: no format {reader!r}{nearest(reader, list(READERS))} There is: {', '.join(READERS)}."
        )
    table, unit = READERS[reader].read(raw, faults)
    if table.empty:
        raise UserError(f"{raw} holds no frame that can be used as a recording of format {reader!r}.")
    return Recording(table, unit, open_frames(reader, raw))


def open_frames(reader: str, raw: Path) -> Frames:
    """The frames in `raw` alone, for rows that were read before: without a look at its logs."""
    return READERS[reader].open_frames(raw)
