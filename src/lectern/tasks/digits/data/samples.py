"""scikit-learn's bundled 8x8 digits to raw IDX archives of 28x28 images, as MNIST has them."""

import gzip
from pathlib import Path

import numpy as np

from lectern.tasks.digits.data.format.images import SIDE
from lectern.tasks.digits.data.preprocess import TEST, TRAIN

HELD_OUT = 300  # the last images: their writers hardly occur before, as in MNIST's own test set


def make(out: Path) -> dict[str, str]:
    """Write the sample's four archives; returns what they were found in."""
    import sklearn
    from sklearn.datasets import load_digits

    digits = load_digits()
    images, labels = enlarge(digits.images), digits.target.astype(np.uint8)
    for part, (images_name, labels_name) in ((slice(-HELD_OUT), TRAIN), (slice(-HELD_OUT, None), TEST)):
        write_idx(out / images_name, images[part])
        write_idx(out / labels_name, labels[part])
    return {"scikit-learn": sklearn.__version__}


def enlarge(images: np.ndarray) -> np.ndarray:
    """(n, 8, 8) of ink 0 to 16 to uint8 (n, 28, 28): three pixels for one, and a margin of two as in MNIST."""
    large = images.repeat(3, axis=1).repeat(3, axis=2) * (255 / 16)
    margin = (SIDE - large.shape[1]) // 2
    return np.pad(large.round().astype(np.uint8), ((0, 0), (margin, margin), (margin, margin)))


def write_idx(path: Path, values: np.ndarray) -> None:
    """A gzipped IDX file; its bytes depend on the values only."""
    header = np.array([0x800 + values.ndim, *values.shape], ">u4").tobytes()
    path.write_bytes(gzip.compress(header + values.tobytes(), mtime=0))
