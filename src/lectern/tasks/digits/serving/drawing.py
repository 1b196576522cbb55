"""Convert a drawing or photograph of a digit to a 28x28 image in the style of MNIST."""

import numpy as np
from PIL import Image

from lectern.errors import UserError
from lectern.tasks.digits.data.centering import DIGIT_SIZE, center_by_mass
from lectern.tasks.digits.data.format.images import IMAGE_SIZE

MIN_INK = 0.15  # fraction of the strongest ink; a pixel with less ink is background, dust or shadow
MIN_CONTRAST = 0.1  # if every pixel differs less than this from the background, the image is blank


def to_mnist_image(picture: Image.Image) -> np.ndarray:
    """Convert a picture to an image in the style of MNIST: uint8 (28, 28), bright ink, centre of mass in the middle.

    Every pixel that differs from the colour of the picture's border is ink. Ink can be darker or lighter than the
    border. A picture of 28x28 pixels with a dark background already has the style of MNIST and is not changed. Raises
    UserError if the picture is blank.
    """
    gray = np.asarray(picture.convert("L"), np.float32)
    if picture.size == (IMAGE_SIZE, IMAGE_SIZE) and measure_background(gray) < 128:
        return gray.astype(np.uint8)
    return center_by_mass(resize_to_digit_size(crop_to_ink(measure_ink(gray))))


def measure_background(gray: np.ndarray) -> float:
    """Return the median grey value of the pixels on the border of a picture."""
    return float(np.median(np.concatenate([gray[0], gray[-1], gray[:, 0], gray[:, -1]])))


def measure_ink(gray: np.ndarray) -> np.ndarray:
    """Return the amount of ink in each pixel, from 0 to 1. Raises UserError if the picture is blank."""
    strength = np.abs(gray - measure_background(gray)) / 255
    if strength.max() < MIN_CONTRAST:
        raise UserError("Nothing is drawn. Draw a digit in a color that differs from the background.")
    strength /= strength.max()
    return np.where(strength < MIN_INK, 0, strength)


def crop_to_ink(ink: np.ndarray) -> np.ndarray:
    """Return the smallest rectangle that contains all the ink."""
    rows, columns = (np.flatnonzero(ink.any(axis)) for axis in (1, 0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def resize_to_digit_size(ink: np.ndarray) -> np.ndarray:
    """Resize a digit so that its longer side has 20 pixels, and keep the proportions.

    Each new pixel is the mean of the area that the new pixel covers. Thin lines lose contrast when the digit gets
    smaller, so the values are scaled until the strongest pixel is 1.
    """
    factor = DIGIT_SIZE / max(ink.shape)
    height, width = (max(1, round(side * factor)) for side in ink.shape)
    resized = np.asarray(Image.fromarray(ink.astype(np.float32)).resize((width, height), Image.Resampling.BOX))
    scaled: np.ndarray = resized / resized.max()
    return scaled
