"""TODO: lectern.tasks.digits.data.format.images."""

import numpy as np

from lectern.artifacts.dataset import Facts
from lectern.errors import UserError

SIDE, CLASSES = 28, 10


def prepare(images: np.ndarray, facts: Facts) -> np.ndarray:
    """Raw uint8 images (n, 28, 28), ink high, to what the network takes: the same, once they are known to be so.

    The network scales pixels itself: serving cannot forget to.
    Raises UserError for another shape or type.
    """
    images = np.asarray(images)
    if images.ndim != 3 or images.shape[1:] != (SIDE, SIDE) or images.dtype != np.uint8:
        raise UserError(
            f"Images must be uint8 of shape (n, {SIDE}, {SIDE}); got {images.dtype} of shape {images.shape}."
        )
    return images
