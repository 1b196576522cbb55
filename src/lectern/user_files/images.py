"""Open uploaded images with limits on their format and size."""

from io import BytesIO
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from lectern.errors import UserError
from lectern.user_files.displayed_image import displayed_image

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF")
MAX_SIDE = 20_000  # resizing a picture of 40,000,000 x 1 pixels takes seconds
START_OF_SCAN, MAX_SCANS = b"\xff\xda", 100  # programs usually write at most 20 scans
PILLOW_MAX_MEGAPIXELS = 178  # Pillow rejects images with more megapixels


def read_image(source: Path | BytesIO, max_megapixels: float) -> Image.Image:
    """Return an image as a viewer shows it, in 8-bit grayscale (L) or RGB.

    Raises UserError if the file is not an image, is damaged, or has more pixels than allowed.
    """
    try:
        image = Image.open(source, formats=FORMATS)
        width, height = image.size
        if width * height > max_megapixels * 1e6:
            raise UserError(
                f"The image has {width} x {height} pixels; at most {max_megapixels:g} million pixels are allowed."
            )
        if max(width, height) > MAX_SIDE and max_megapixels < float("inf"):
            raise UserError(f"The image has {width} x {height} pixels; at most {MAX_SIDE} pixels per side are allowed.")
        if image.format == "JPEG":
            check_scans(source.read_bytes() if isinstance(source, Path) else source.getvalue())
        image.load()
        return displayed_image(image)
    except Image.DecompressionBombError as error:
        limit = min(max_megapixels, PILLOW_MAX_MEGAPIXELS)
        raise UserError(f"The image is too large; at most {limit:g} million pixels are allowed.") from error
    except UnidentifiedImageError as error:
        raise UserError(f"The file is not an image. Supported formats: {', '.join(FORMATS)}.") from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise UserError(f"The image is damaged: {error}. Save the image again.") from error


def check_scans(content: bytes) -> None:
    """Raise UserError if the content of a JPEG file, or of a frame of an MJPEG video, has too many scans.

    Each scan of a progressive JPEG file decodes the complete image again, so a small file could take minutes.
    """
    scans = content.count(START_OF_SCAN)
    if scans > MAX_SCANS:
        raise UserError(f"The JPEG file has {scans} scans; at most {MAX_SCANS} are allowed. Save the image again.")
