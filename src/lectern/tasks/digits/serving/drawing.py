"""A drawing of any size to what the network was taught on: 28x28, ink high, fitted and centred as MNIST is."""

import numpy as np
from PIL import Image

from lectern.errors import UserError
from lectern.tasks.digits.data.format.images import SIDE

BOX = 20  # MNIST: the digit's longer side, its centre of mass in the middle of 28x28 (LeCun, Cortes and Burges)
FAINT = 0.15  # of the strongest ink: less is paper, dust, or the shade of a photograph
BLANK = 0.1  # a difference between paper and ink below which nothing has been drawn


def to_mnist_image(picture: Image.Image) -> np.ndarray:
    """A picture to uint8 (28, 28); one of 28x28 on a dark ground is taken as it is. Raises UserError for a blank one.

    Ink is what differs from the border: dark on light or light on dark, whatever the colours.
    """
    grey = flatten(picture)
    if picture.size == (SIDE, SIDE) and paper(grey) < 128:
        return grey.astype(np.uint8)
    return centre(fit(crop(ink(grey))))


def flatten(picture: Image.Image) -> np.ndarray:
    """Grey values float32 (height, width); what is transparent is white paper."""
    if picture.mode in ("RGBA", "LA", "PA", "P"):
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return np.asarray(picture.convert("L"), np.float32)


def paper(grey: np.ndarray) -> float:
    """The grey of the border."""
    return float(np.median(np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])))


def ink(grey: np.ndarray) -> np.ndarray:
    """How much ink, 0 to 1. Raises UserError where there is none."""
    strength = np.abs(grey - paper(grey)) / 255
    if strength.max() < BLANK:
        raise UserError("Nothing is drawn here: draw a digit, in one colour on another.")
    strength /= strength.max()
    return np.where(strength < FAINT, 0, strength)


def crop(drawn: np.ndarray) -> np.ndarray:
    """The smallest box that holds all the ink."""
    rows, columns = (np.flatnonzero(drawn.any(axis)) for axis in (1, 0))
    return drawn[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def fit(drawn: np.ndarray) -> np.ndarray:
    """The longer side 20 pixels, the other in proportion; each pixel is the mean of what it covers."""
    share = BOX / max(drawn.shape)
    height, width = (max(1, round(side * share)) for side in drawn.shape)
    resized = Image.fromarray(drawn.astype(np.float32)).resize((width, height), Image.Resampling.BOX)
    small = np.asarray(resized)
    return small / small.max()  # a thin line loses strength in shrinking


def centre(small: np.ndarray) -> np.ndarray:
    """Laid on 28x28 with the centre of its mass in the middle, as far as it fits; uint8."""
    out = np.zeros((SIDE, SIDE), np.float32)
    corner = []
    for axis, side in enumerate(small.shape):
        mass = small.sum(1 - axis)
        middle = (mass * (np.arange(side) + 0.5)).sum() / mass.sum()
        corner.append(int(np.clip(round(SIDE / 2 - middle), 0, SIDE - side)))
    out[corner[0] : corner[0] + small.shape[0], corner[1] : corner[1] + small.shape[1]] = small
    return np.rint(out * 255).astype(np.uint8)
