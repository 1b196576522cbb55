"""Define the limits of requests to a digits model, and read uploaded files."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from lectern.errors import UserError
from lectern.tasks.digits.data.format.images import validate_images
from lectern.tasks.digits.serving.drawing import to_mnist_image
from lectern.user_files.images import read_image

MAX_ROWS = 512
SUPPORTS_BATCHING = True  # a batch of 16 images takes less time than four single images


def check_inputs(facts: object, images: np.ndarray) -> None:
    """Raise UserError if `lectern predict` must refuse one of the images."""
    validate_images(images)


def read_picture(path: Path, module: object, megapixels: float) -> Iterator[np.ndarray]:
    """Yield the picture of one digit in a file, converted to the style of MNIST."""
    yield to_mnist_image(read_image(path, megapixels))


def read_array(path: Path, module: object, megapixels: float) -> Iterator[np.ndarray]:
    """Yield the images in an `.npy` file of uint8 (n, 28, 28). Only one image at a time is read into memory."""
    try:
        yield from np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError, TypeError) as error:
        raise UserError(f"{path.name} does not contain an array of images: {error}") from error


FILE_READERS = dict.fromkeys((".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif"), read_picture) | {".npy": read_array}
