"""Write the 8x8 digits of scikit-learn as raw IDX archives of 28x28 images, in the file layout of MNIST."""

import gzip
from pathlib import Path

import numpy as np

from lectern.tasks.digits.data.format.images import IMAGE_SIZE
from lectern.tasks.digits.data.preprocess import TEST_FILES, TRAIN_FILES

TEST_COUNT = 300  # number of test images; the last images are used, because their writers wrote few other images


def make(out: Path) -> dict[str, str]:
    """Write the images and labels of the sample to four IDX files.

    Return the version of scikit-learn, the library that contains the images.
    """
    import sklearn
    from sklearn.datasets import load_digits

    digits = load_digits()
    images, labels = enlarge_images(digits.images), digits.target.astype(np.uint8)
    parts = ((slice(-TEST_COUNT), TRAIN_FILES), (slice(-TEST_COUNT, None), TEST_FILES))
    for part, (images_name, labels_name) in parts:
        write_idx(out / images_name, images[part])
        write_idx(out / labels_name, labels[part])
    return {"scikit-learn": sklearn.__version__}


def enlarge_images(images: np.ndarray) -> np.ndarray:
    """Convert images (n, 8, 8) with values from 0 to 16 to uint8 (n, 28, 28).

    Each pixel becomes a square of 3x3 pixels. A margin of two pixels is added on each side of the image.
    """
    large = images.repeat(3, axis=1).repeat(3, axis=2) * (255 / 16)
    margin = (IMAGE_SIZE - large.shape[1]) // 2
    return np.pad(large.round().astype(np.uint8), ((0, 0), (margin, margin), (margin, margin)))


def write_idx(path: Path, values: np.ndarray) -> None:
    """Write an array as a gzipped IDX file. Equal arrays give equal files."""
    header = np.array([0x800 + values.ndim, *values.shape], ">u4").tobytes()
    path.write_bytes(gzip.compress(header + values.tobytes(), mtime=0))
