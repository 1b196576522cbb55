"""What may be asked of digits: images in JSON, pictures of a digit, arrays of images; each image its own answer."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from lectern.errors import UserError
from lectern.serving.images import read_image
from lectern.tasks.digits.serving.drawing import to_mnist_image

ROWS = 512  # answered together
TOGETHER = True  # images do not know of each other, and sixteen at once cost less than four alone
PARAMETERS: dict = {}


def read_picture(path: Path, module, megapixels: float) -> Iterator[np.ndarray]:
    """A picture of one digit, fitted as MNIST's are."""
    yield to_mnist_image(read_image(path, megapixels))


def read_array(path: Path, module, megapixels: float) -> Iterator[np.ndarray]:
    """The images of an `.npy`, uint8 (n, 28, 28), one at a time from the disk."""
    try:
        yield from np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError, TypeError) as error:
        raise UserError(f"{path.name} is no array of images: {error}") from error


FILES = {suffix: read_picture for suffix in (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif")} | {".npy": read_array}
