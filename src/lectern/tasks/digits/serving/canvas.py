"""Provide a drawing canvas for the web page."""

import base64
import io

from nicegui.element import Element
from PIL import Image

from lectern.user_files.images import read_image


class Canvas(Element, component="canvas.js"):
    """A canvas on the web page for drawing with a mouse or a finger.

    The canvas emits the event `drawn` after each stroke.
    """

    def clear_drawing(self) -> None:
        self.run_method("clear")

    async def read_drawing(self, megapixels: float) -> Image.Image:
        """Return the drawing as an image. Raises UserError if the browser does not send a valid image."""
        data_url = str(await self.run_method("toDataUrl", timeout=10))
        return read_image(io.BytesIO(base64.b64decode(data_url.partition(",")[2])), megapixels)
