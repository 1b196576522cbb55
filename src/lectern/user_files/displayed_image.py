"""Convert a decoded image to the pixels that an image viewer shows.

An image file can declare that its pixels are rotated, have 16 bits, are transparent, or have a special color space.
Pillow decodes the stored pixels, and ignores most of this information.
"""

import io
import struct
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy as np
from PIL import Image, ImageCms, ImageOps

from lectern.errors import UserError

SIXTEEN_BITS = 257  # factor from values of 8 bits to values of 16 bits
USUAL_GAMMA = 1 / 2.2  # value of the gAMA chunk of a PNG file with the colors of sRGB


def displayed_image(image: Image.Image) -> Image.Image:
    """Return the image as 8-bit grayscale (L) or RGB, in the orientation and the colors that a viewer shows.

    Transparent areas become white. Raises UserError if the range of the pixel values is unknown.
    """
    opaque = replace_transparency(convert_to_8_bits(rotate_upright(image)))
    return apply_gamma(convert_to_srgb(opaque, image.info.get("icc_profile")), image.info)


def rotate_upright(image: Image.Image) -> Image.Image:
    """Apply the orientation in the EXIF data. Damaged EXIF data are ignored, as in an image viewer."""
    try:
        return ImageOps.exif_transpose(image)
    except (OSError, SyntaxError, ValueError, TypeError, KeyError, struct.error):
        return image


def replace_transparency(image: Image.Image) -> Image.Image:
    """Put the image on a white background."""
    if not image.has_transparency_data:
        return image
    visible = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", visible.size, "white"), visible).convert("RGB")


def convert_to_8_bits(image: Image.Image) -> Image.Image:
    """Scale 16-bit grayscale to 8 bits, and keep an image of another type."""
    if image.mode == "F":
        raise UserError(
            "The pixels are floating-point numbers, and their range is unknown. Save the image with 8 bits."
        )
    if not image.mode.startswith("I"):
        return image
    values = np.asarray(image)
    if values.min() < 0 or values.max() > 65535:
        raise UserError("The pixels have more than 16 bits. Save the image with 8 bits.")
    scaled = Image.fromarray(np.rint(values / SIXTEEN_BITS).astype(np.uint8))
    transparent = image.info.get("transparency")
    if transparent is not None:
        scaled.putalpha(Image.fromarray(np.where(values == transparent, 0, 255).astype(np.uint8)))
    return scaled


def convert_to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert an image with a color profile to sRGB. A profile that is damaged or fits another mode is ignored."""
    plain = image if image.mode in ("L", "RGB", "CMYK") else image.convert("L" if image.mode == "1" else "RGB")
    if profile:
        with suppress(ImageCms.PyCMSError, OSError):
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(plain, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
            return converted or plain
    return plain.convert("RGB") if plain.mode == "CMYK" else plain


def apply_gamma(image: Image.Image, info: Mapping[Any, Any]) -> Image.Image:
    """Apply the gamma of a PNG, unless a color profile or sRGB replaces it, as the PNG standard requires."""
    gamma = info.get("gamma")
    if not gamma or "icc_profile" in info or "srgb" in info:
        return image
    exponent = USUAL_GAMMA / gamma
    if abs(exponent - 1) < 0.02:
        return image
    table = [round(255 * (value / 255) ** exponent) for value in range(256)]
    return image.point(table * len(image.getbands()))
