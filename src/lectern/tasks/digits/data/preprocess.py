"""Raw IDX archives to packed splits, plus the facts learned from the training images."""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from lectern.artifacts.dataset import Facts, write_facts
from lectern.artifacts.digests import content_digest
from lectern.errors import UserError
from lectern.tasks.digits.data.format.images import CLASSES, SIDE

TRAIN = ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz")
TEST = ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz")


def preprocess(raw: Path, out: Path, validation: int) -> None:
    """Write images (n, 28, 28) and labels (n,) of each split as uint8 `.npy`, then the facts.

    The last `validation` training images are held out: in MNIST, as in the sample, neighbours share a writer, so a
    block at the end shares fewer writers with the rest than a random draw would.
    """
    images, labels = read_labelled(raw, *TRAIN)
    test_images, test_labels = read_labelled(raw, *TEST)
    if not 0 < validation < len(labels):
        raise UserError(
            f"preprocess.validation is {validation}; it must leave some of the {len(labels)} images to train on."
        )
    splits = {
        "train": (images[:-validation], labels[:-validation]),
        "validation": (images[-validation:], labels[-validation:]),
        "test": (test_images, test_labels),
    }
    out.mkdir(parents=True, exist_ok=True)
    for split, (split_images, split_labels) in splits.items():
        np.save(out / f"{split}_images.npy", split_images)
        np.save(out / f"{split}_labels.npy", split_labels)
    write_facts(out, learn_facts(splits))


def learn_facts(splits: dict[str, tuple[np.ndarray, np.ndarray]]) -> Facts:
    """Mean and deviation of the training pixels in [0, 1], the most frequent training label, and the counts."""
    images, labels = splits["train"]
    pixels = images.astype(np.float32) / 255
    return {
        "prepare": {},
        "items": {split: len(split_labels) for split, (_, split_labels) in splits.items()},
        "mean": round(float(pixels.mean(dtype=np.float64)), 6),
        "deviation": round(float(pixels.std(dtype=np.float64)), 6),
        "most_frequent": int(np.bincount(labels, minlength=CLASSES).argmax()),
        "test_digest": content_digest(*splits["test"]),
    }


def read_labelled(raw: Path, images_name: str, labels_name: str) -> tuple[np.ndarray, np.ndarray]:
    """Images and their labels, as many of each, labels 0 to 9."""
    images = read_idx(raw / images_name, dimensions=3)
    labels = read_idx(raw / labels_name, dimensions=1)
    if images.shape[1:] != (SIDE, SIDE):
        raise UserError(f"{raw / images_name} holds images of {images.shape[1:]}; expected ({SIDE}, {SIDE}).")
    if len(images) != len(labels):
        raise UserError(f"{raw / images_name} holds {len(images)} images, {labels_name} {len(labels)} labels.")
    if labels.size and labels.max() >= CLASSES:
        where = int((labels >= CLASSES).argmax())
        raise UserError(f"{raw / labels_name}: label {labels[where]} at position {where}; labels are 0 to 9.")
    return images, labels


def read_idx(path: Path, dimensions: int) -> np.ndarray:
    """A gzipped IDX file of uint8 with that many dimensions (format: the MNIST page of LeCun, Cortes and Burges).

    Raises UserError for a file that is missing, damaged, or does not hold what its header says.
    """
    try:
        data = gzip.decompress(path.read_bytes())
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing. Download it: dvc repro download@{path.parent.name}") from error
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path} is no whole gzip file ({error}). Delete it and download it again.") from error
    magic, start = (0x800 + dimensions).to_bytes(4), 4 + 4 * dimensions
    if len(data) < start or data[:4] != magic:
        raise UserError(
            f"{path} is no IDX file of {dimensions} dimensions: it must start with {magic!r} and {dimensions} sizes of "
            f"4 bytes each; found {data[:start]!r}."
        )
    shape, body = tuple(map(int, np.frombuffer(data[4:start], ">u4"))), data[start:]
    if len(body) != math.prod(shape):
        raise UserError(f"{path}: its header says {shape}, which is {math.prod(shape)} bytes, but {len(body)} follow.")
    return np.frombuffer(body, np.uint8).reshape(shape)
