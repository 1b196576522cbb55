"""Convert raw IDX files to `.npy` files with the images and labels of each split, and compute facts."""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from lectern.artifacts.dataset import Facts, write_facts
from lectern.artifacts.digests import content_digest
from lectern.config import PositiveInt
from lectern.errors import UserError
from lectern.tasks.digits.data.class_shares import check_class_shares, last_of_each_class
from lectern.tasks.digits.data.format.images import IMAGE_SIZE, NUM_CLASSES

TRAIN_FILES = ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz")
TEST_FILES = ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz")


def preprocess(raw: Path, out: Path, validation: PositiveInt, stratified: bool = False) -> None:
    """Write the images (n, 28, 28) and labels (n,) of each split as uint8 `.npy` files, and then `facts.json`.

    The last `validation` training images become the validation split. In MNIST and in the sample, neighbouring images
    are often by the same writer. The last images therefore share fewer writers with the training split than a random
    selection. If `stratified` is true, the last images of each digit are taken instead. Raises UserError if a split has
    no image of a digit that another split has.
    """
    images, labels = read_labeled_images(raw, *TRAIN_FILES)
    test_images, test_labels = read_labeled_images(raw, *TEST_FILES)
    if not 0 < validation < len(labels):
        raise UserError(
            f"preprocess.validation is {validation}; it must be above 0 and below {len(labels)}, "
            "so that some images remain for training."
        )
    held_out = np.zeros(len(labels), bool)
    held_out[last_of_each_class(labels, validation) if stratified else slice(-validation, None)] = True
    splits = {
        "train": (images[~held_out], labels[~held_out]),
        "validation": (images[held_out], labels[held_out]),
        "test": (test_images, test_labels),
    }
    check_class_shares({split: split_labels for split, (_, split_labels) in splits.items()})
    out.mkdir(parents=True, exist_ok=True)
    for split, (split_images, split_labels) in splits.items():
        np.save(out / f"{split}_images.npy", split_images)
        np.save(out / f"{split}_labels.npy", split_labels)
    write_facts(out, compute_facts(splits))


def compute_facts(splits: dict[str, tuple[np.ndarray, np.ndarray]]) -> Facts:
    """Return the number of images per split and the statistics of the training split.

    `mean` and `deviation` are the mean and the standard deviation of the training pixels, scaled to [0, 1].
    """
    images, labels = splits["train"]
    pixels = images.astype(np.float32) / 255
    return {
        "prepare": {},
        "items": {split: len(split_labels) for split, (_, split_labels) in splits.items()},
        "mean": round(float(pixels.mean(dtype=np.float64)), 6),
        "deviation": round(float(pixels.std(dtype=np.float64)), 6),
        "most_frequent": int(np.bincount(labels, minlength=NUM_CLASSES).argmax()),
        "test_digest": content_digest(*splits["test"]),
    }


def read_labeled_images(raw: Path, images_name: str, labels_name: str) -> tuple[np.ndarray, np.ndarray]:
    """Read images (n, 28, 28) and their labels (n,).

    Raises UserError if the images have a different shape, if the numbers of images and labels differ, or if a label is
    not from 0 to 9.
    """
    images = read_idx(raw / images_name, dimensions=3)
    labels = read_idx(raw / labels_name, dimensions=1)
    if images.shape[1:] != (IMAGE_SIZE, IMAGE_SIZE):
        raise UserError(
            f"{raw / images_name} contains images of shape {images.shape[1:]}; expected ({IMAGE_SIZE}, {IMAGE_SIZE})."
        )
    if len(images) != len(labels):
        raise UserError(
            f"{raw / images_name} contains {len(images)} images, but {labels_name} contains {len(labels)} labels."
        )
    if labels.size and labels.max() >= NUM_CLASSES:
        index = int((labels >= NUM_CLASSES).argmax())
        raise UserError(f"{raw / labels_name}: label {labels[index]} at position {index}; labels must be 0 to 9.")
    return images, labels


def read_idx(path: Path, dimensions: int) -> np.ndarray:
    """Read a gzipped IDX file of uint8 values with the given number of dimensions.

    The MNIST page of LeCun, Cortes and Burges describes the IDX format. Raises UserError if the file is missing or
    damaged, or if the size of the file does not match its header.
    """
    try:
        data = gzip.decompress(path.read_bytes())
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing. Run `dvc repro download@{path.parent.name}`.") from error
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(
            f"{path} is not a complete gzip file ({error}). Delete the file and download it again."
        ) from error
    magic, start = (0x800 + dimensions).to_bytes(4), 4 + 4 * dimensions
    if len(data) < start or data[:4] != magic:
        raise UserError(
            f"{path} is not an IDX file with {dimensions} dimensions. "
            f"An IDX file must start with {magic!r}, followed by {dimensions} sizes of 4 bytes each; "
            f"found {data[:start]!r}."
        )
    shape, body = tuple(map(int, np.frombuffer(data[4:start], ">u4"))), data[start:]
    if len(body) != math.prod(shape):
        raise UserError(
            f"{path}: the header declares the shape {shape}, which needs {math.prod(shape)} bytes, "
            f"but {len(body)} bytes follow."
        )
    return np.frombuffer(body, np.uint8).reshape(shape)
