"""Open uploaded images with limits on their format and size."""

from io import BufferedReader, BytesIO
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from lectern.errors import UserError
from lectern.user_files.displayed_image import displayed_image
from lectern.user_files.limited_file import LimitedFile

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF")
MAX_SIDE = 20_000  # resizing a picture of 40,000,000 x 1 pixels takes seconds
START_OF_SCAN, MAX_SCANS, LARGE_IMAGE_SCANS = b"\xff\xda", 100, 20  # programs usually write at most 20 scans
PILLOW_MAX_MEGAPIXELS = 178  # Pillow rejects images with more megapixels


def read_image(source: Path | BytesIO, max_megapixels: float) -> Image.Image:
    """Return an image as a viewer shows it, in 8-bit grayscale (L) or RGB.

    Raises UserError if the file is not an image, is damaged, or has more pixels than allowed. If `max_megapixels` is
    infinite, the number of parts of the file and the size of the metadata are not limited either.
    """
    try:
        with open_file(source, max_megapixels) as file:
            image = Image.open(file, formats=FORMATS)
            check_size(*image.size, max_megapixels)
            if image.format == "JPEG":
                check_scans(read_content(source), *image.size, max_megapixels)
            if isinstance(file, LimitedFile):
                file.has_metadata = True
            image.load()
            return displayed_image(image)
    except Image.DecompressionBombError as error:
        limit = min(max_megapixels, PILLOW_MAX_MEGAPIXELS)
        raise UserError(f"The image is too large; at most {limit:g} million pixels are allowed.") from error
    except UnidentifiedImageError as error:
        raise UserError(f"The file is not an image. Supported formats: {', '.join(FORMATS)}.") from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise UserError(f"The image is damaged: {error}. Save the image again.") from error


def open_file(source: Path | BytesIO, max_megapixels: float) -> BufferedReader | BytesIO:
    """Return a file for Pillow. Only a file that a client can have sent is a LimitedFile."""
    if max_megapixels < float("inf"):
        return LimitedFile(source)
    return source.open("rb") if isinstance(source, Path) else source


def read_content(source: Path | BytesIO) -> bytes:
    return source.read_bytes() if isinstance(source, Path) else source.getvalue()


def check_size(width: int, height: int, max_megapixels: float) -> None:
    """Raise UserError if an image has too many pixels, or too many pixels on one side."""
    if width * height > max_megapixels * 1e6:
        raise UserError(
            f"The image has {width} x {height} pixels; at most {max_megapixels:g} million pixels are allowed."
        )
    if max(width, height) > MAX_SIDE and max_megapixels < float("inf"):
        raise UserError(f"The image has {width} x {height} pixels; at most {MAX_SIDE} pixels per side are allowed.")


def check_scans(content: bytes, width: int, height: int, max_megapixels: float) -> None:
    """Raise UserError if the content of a JPEG file, or of a frame of an MJPEG video, has too many scans.

    Each scan of a progressive JPEG file decodes the complete image again, so a small file could take minutes. An image
    with `max_megapixels` million pixels can have LARGE_IMAGE_SCANS scans, and a smaller image can have more scans.
    """
    scans, pixels = content.count(START_OF_SCAN), max(1, width * height)
    limit = int(min(MAX_SCANS, LARGE_IMAGE_SCANS * max(1, max_megapixels * 1e6 / pixels)))
    if scans > limit:
        raise UserError(f"The JPEG file has {scans} scans; at most {limit} are allowed. Save the image again.")
