"""Bytes that somebody sent to a picture, once it is sure that it is one, and not too large to unpack."""

from pathlib import Path
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError

from lectern.errors import UserError

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF")
PILLOWS_OWN = 178  # megapixels beyond which Pillow opens nothing


def read_image(source: Path | BinaryIO, megapixels: float) -> Image.Image:
    """The picture, unpacked. Raises UserError for what is none, is damaged, or is larger than allowed."""
    try:
        picture = Image.open(source, formats=FORMATS)
        width, height = picture.size
        if width * height > megapixels * 1e6:
            raise UserError(f"The picture has {width} x {height} pixels; at most {megapixels:g} million are unpacked.")
        picture.load()
        return picture
    except Image.DecompressionBombError as error:
        most = min(megapixels, PILLOWS_OWN)
        raise UserError(f"The picture is too large: at most {most:g} million pixels are unpacked.") from error
    except UnidentifiedImageError as error:
        raise UserError(f"This is no picture. Send one of: {', '.join(FORMATS)}.") from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise UserError(f"The picture is damaged: {error}. Save it again.") from error
