"""Show the progress, the result or the error of a request in a line of text on the web page."""

import re
import tempfile
from pathlib import Path

from nicegui import ui

ERROR_NUMBER = re.compile(r"\[Errno -?\d+\] ")
TEMPORARY_FOLDER = re.compile(rf"{re.escape(str(Path(tempfile.gettempdir())))}/(?:[^\s/]+/)*")


class Status:
    """A note and an error message. Screen readers announce both texts when they change."""

    def __init__(self, text: str = ""):
        with ui.element("div").classes("status"):
            self.note = ui.label(text).classes("note").props("role=status")
            self.error = ui.label().classes("problem").props("role=alert")

    def show_note(self, text: str) -> None:
        self.note.set_text(text)
        self.error.set_text("")

    def show_error(self, error: Exception) -> None:
        self.note.set_text("")
        self.error.set_text(visitor_message(str(error)))


def visitor_message(message: str) -> str:
    """Return an error message without temporary folders and error numbers, which a visitor cannot use.

    >>> visitor_message("/tmp/tmpab12/road.mp4 cannot be read: [Errno 5] Invalid data: '/tmp/tmpab12/road.mp4'")
    "road.mp4 cannot be read: Invalid data: 'road.mp4'"
    """
    return ERROR_NUMBER.sub("", TEMPORARY_FOLDER.sub("", message))
