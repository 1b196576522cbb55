"""Define the format of the digit images and check that images have this format."""

import numpy as np

from lectern.errors import UserError

IMAGE_SIZE, NUM_CLASSES = 28, 10


def validate_images(images: np.ndarray) -> np.ndarray:
    """Return the images unchanged. Raises UserError if the images are not uint8 of shape (n, 28, 28).

    Pixels with ink must have high values, and the background must be 0. The network itself scales the pixels.
    """
    images = np.asarray(images)
    if images.ndim != 3 or images.shape[1:] != (IMAGE_SIZE, IMAGE_SIZE) or images.dtype != np.uint8:
        raise UserError(
            f"Images must be uint8 of shape (n, {IMAGE_SIZE}, {IMAGE_SIZE}); "
            f"got {images.dtype} of shape {images.shape}."
        )
    return images
