"""Provide a drawing canvas for the web page."""

import base64
import io
from collections.abc import Awaitable, Callable

from nicegui import events
from nicegui.element import Element
from PIL import Image

from lectern.errors import UserError
from lectern.user_files.images import read_image


class Canvas(Element, component="canvas.js"):
    """A canvas on the web page for drawing with a mouse, a finger or the keyboard.

    The canvas passes the drawing to `on_drawn` during and after each stroke, as a data URL with a PNG file. If an undo
    has removed the last stroke, the canvas passes an empty text.
    """

    def __init__(self, on_drawn: Callable[[str], Awaitable[None]]):
        super().__init__()

        async def pass_drawing(event: events.GenericEventArguments) -> None:
            if isinstance(event.args, str):  # a client can send any value
                await on_drawn(event.args)

        self.on("drawn", pass_drawing)

    def undo_stroke(self) -> None:
        self.run_method("undo")

    def clear_drawing(self) -> None:
        self.run_method("clear")


def read_drawing(data_url: str, megapixels: float) -> Image.Image:
    """Return the drawing in a data URL. Raises UserError if the browser has not sent a valid image."""
    try:
        file = base64.b64decode(data_url.partition(",")[2])
    except ValueError as error:
        raise UserError("The drawing is damaged. Draw the digit again.") from error
    return read_image(io.BytesIO(file), megapixels)
