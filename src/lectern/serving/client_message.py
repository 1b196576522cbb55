"""Remove from error messages what a client of the server cannot use or must not see."""

import re

SEE_LOG = "The log of the server contains the reason."
ERROR_NUMBER = re.compile(r"\[Errno -?\d+\] ")
# the folders of an absolute path or of its URL, such as `/tmp/tmpab12/` or `file:///srv/lectern/`
FOLDERS = re.compile(r"(?<![\w./:-])(?:\w+:/*)?/(?:[^\s/'\"]+/)+")
MAX_CHARACTERS = 1000
MAX_SHOWN = 80  # number of characters of a client's text in an error message
REMOTE = re.compile(r"(?!file:|sqlite:)\w+://")


def shorten(text: str) -> str:
    """Return the start of a text that a client has sent, for an error message."""
    return text[:MAX_SHOWN]


def client_message(message: str) -> str:
    """Return an error message without error numbers, and without the folders of files on the server.

    A message of more than MAX_CHARACTERS characters is cut.

    >>> client_message("/tmp/tmpab12/road.mp4 cannot be read: [Errno 5] Invalid data: '/tmp/tmpab12/road.mp4'")
    "road.mp4 cannot be read: Invalid data: 'road.mp4'"
    >>> client_message("file:///srv/lectern/mlartifacts/7/model is missing. See https://example.org/a/b.")
    'model is missing. See https://example.org/a/b.'
    """
    without_numbers = ERROR_NUMBER.sub("", message)
    text = FOLDERS.sub(lambda found: found[0] if REMOTE.match(found[0]) else "", without_numbers)
    return text if len(text) <= MAX_CHARACTERS else f"{text[:MAX_CHARACTERS]}…"
