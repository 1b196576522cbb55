"""Strokes of a mouse or a finger to a picture."""

import base64
import io

from nicegui.element import Element
from PIL import Image

from lectern.serving.images import read_image


class Canvas(Element, component="canvas.js"):
    """A paper; `drawn` is emitted after each stroke."""

    def clear_paper(self) -> None:
        self.run_method("clear")

    async def picture(self, megapixels: float) -> Image.Image:
        """What is drawn. Raises UserError where the browser sends no picture."""
        address = str(await self.run_method("picture", timeout=10))
        return read_image(io.BytesIO(base64.b64decode(address.partition(",")[2])), megapixels)
