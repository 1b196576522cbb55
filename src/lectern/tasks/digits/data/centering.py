"""Center a digit in an image, as the digits of MNIST are centered."""

import numpy as np

from lectern.tasks.digits.data.format.images import IMAGE_SIZE

DIGIT_SIZE = 20  # number of pixels of the longer side of a digit in MNIST


def center_by_mass(ink: np.ndarray) -> np.ndarray:
    """Return an image, uint8 (28, 28), with the ink's centre of mass as close to the middle as possible.

    `ink` contains values from 0 to 1.
    """
    image = np.zeros((IMAGE_SIZE, IMAGE_SIZE), np.float32)
    corner = []
    for axis, side in enumerate(ink.shape):
        mass = ink.sum(1 - axis)
        center = (mass * (np.arange(side) + 0.5)).sum() / mass.sum()
        corner.append(int(np.clip(round(IMAGE_SIZE / 2 - center), 0, IMAGE_SIZE - side)))
    image[corner[0] : corner[0] + ink.shape[0], corner[1] : corner[1] + ink.shape[1]] = ink
    return np.rint(image * 255).astype(np.uint8)
