"""Remove from error messages what a client of the server cannot use."""

import re
import tempfile
from pathlib import Path

ERROR_NUMBER = re.compile(r"\[Errno -?\d+\] ")
TEMPORARY_FOLDER = re.compile(rf"{re.escape(str(Path(tempfile.gettempdir())))}/(?:[^\s/]+/)*")


def client_message(message: str) -> str:
    """Return an error message without temporary folders and error numbers.

    >>> client_message("/tmp/tmpab12/road.mp4 cannot be read: [Errno 5] Invalid data: '/tmp/tmpab12/road.mp4'")
    "road.mp4 cannot be read: Invalid data: 'road.mp4'"
    """
    return ERROR_NUMBER.sub("", TEMPORARY_FOLDER.sub("", message))
