"""A raw folder to a recording, by the name of its format."""

from collections.abc import Callable
from pathlib import Path

from lectern.config import nearest
from lectern.errors import UserError
from lectern.steering.readers import deeptesla, donkey, rosbag, udacity_challenge, udacity_sim
from lectern.steering.readers.faults import Faults
from lectern.steering.readers.recording import Recording

READERS: dict[str, Callable[[Path, Faults], Recording]] = {
    "udacity_sim": udacity_sim.read,
    "donkey": donkey.read,
    "udacity_challenge": udacity_challenge.read,
    "rosbag": rosbag.read,
    "deeptesla": deeptesla.read,
}


def read(reader: str, raw: Path, faults: Faults) -> Recording:
    """The recording in `raw`. Raises UserError for a format that is unknown, or files that are not of it."""
    if reader not in READERS:
        raise UserError(
            f"preprocess.reader: no format {reader!r}{nearest(reader, list(READERS))} There is: {', '.join(READERS)}."
        )
    recording = READERS[reader](raw, faults)
    if recording.table.empty:
        raise UserError(f"{raw} holds no frame that can be used as a recording of format {reader!r}.")
    return recording
