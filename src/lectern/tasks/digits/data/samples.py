"""Write the 8x8 digits of scikit-learn as raw IDX archives of 28x28 images, in the style and file layout of MNIST."""

import gzip
from pathlib import Path
from typing import Annotated

import numpy as np
from annotated_types import Ge, Le
from PIL import Image

from lectern.tasks.digits.data.centering import DIGIT_SIZE, center_by_mass
from lectern.tasks.digits.data.format.images import IMAGE_SIZE
from lectern.tasks.digits.data.preprocess import TEST_FILES, TRAIN_FILES

TEST_COUNT = 300  # number of test images; the last images are used, because their writers wrote few other images
DigitSize = Annotated[int, Ge(8), Le(IMAGE_SIZE)]


def make(out: Path, digit_size: DigitSize = DIGIT_SIZE) -> dict[str, str]:
    """Write the images and labels of the sample to four IDX files.

    `digit_size` is the side in pixels of the enlarged digits. Return the versions of scikit-learn, which contains the
    images, and of Pillow, which enlarges the images.
    """
    import PIL
    import sklearn
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = np.stack([enlarge_image(image, digit_size) for image in digits.images])
    labels = digits.target.astype(np.uint8)
    parts = ((slice(-TEST_COUNT), TRAIN_FILES), (slice(-TEST_COUNT, None), TEST_FILES))
    for part, (images_name, labels_name) in parts:
        write_idx(out / images_name, images[part])
        write_idx(out / labels_name, labels[part])
    return {"scikit-learn": sklearn.__version__, "pillow": PIL.__version__}


def enlarge_image(image: np.ndarray, digit_size: int) -> np.ndarray:
    """Convert an image (8, 8), whose background has the value 0, to uint8 (28, 28) in the style of MNIST.

    The image is enlarged with bicubic interpolation, so that strokes have smooth edges. The brightest pixel becomes
    255, and the centre of mass is moved to the middle.
    """
    size = (digit_size, digit_size)
    ink = np.asarray(Image.fromarray(image.astype(np.float32)).resize(size, Image.Resampling.BICUBIC))
    return center_by_mass(ink.clip(0) / ink.max())  # bicubic interpolation also gives values below 0


def write_idx(path: Path, values: np.ndarray) -> None:
    """Write an array as a gzipped IDX file. Equal arrays give equal files."""
    header = np.array([0x800 + values.ndim, *values.shape], ">u4").tobytes()
    path.write_bytes(gzip.compress(header + values.tobytes(), mtime=0))
