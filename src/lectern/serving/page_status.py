"""Show the progress, the result or the error of a request in a line of text on the web page."""

from nicegui import ui

from lectern.serving.client_message import client_message


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
        self.error.set_text(client_message(str(error)))
