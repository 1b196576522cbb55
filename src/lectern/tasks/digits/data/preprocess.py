"""Convert raw IDX files to `.npy` files with the images and labels of each split, and compute facts."""

from pathlib import Path

import numpy as np

from lectern.artifacts.dataset import Facts, write_facts
from lectern.artifacts.digests import content_digest
from lectern.config import Amount
from lectern.tasks.digits.data.class_shares import check_class_shares
from lectern.tasks.digits.data.format.images import NUM_CLASSES
from lectern.tasks.digits.data.idx_files import LabeledImages
from lectern.tasks.digits.data.splits import Files, make_splits

TRAIN_FILES = ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz")
TEST_FILES = ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz")


def preprocess(
    raw: Path,
    out: Path,
    validation: Amount,
    stratified: bool = False,
    train: Files = TRAIN_FILES,
    test: Files | Amount = TEST_FILES,
) -> None:
    """Write the images (n, 28, 28) and labels (n,) of each split as uint8 `.npy` files, and then `facts.json`.

    `train` and `test` each contain two names: a file with images and a file with the labels of these images.
    `validation` is a number or a share of the training images. The last training images become the validation split. In
    MNIST and in the sample, neighbouring images are often by the same writer. The last images therefore share fewer
    writers with the training split than randomly selected images would. If `stratified` is true, the last images of
    each digit are taken instead. If `test` is a number or a share, the test split is taken from the training images in
    the same way, before the validation split. Raises UserError if a split has no image of a digit that another split
    has.
    """
    splits = make_splits(raw, validation, stratified, train, test)
    check_class_shares({split: split_labels for split, (_, split_labels) in splits.items()})
    out.mkdir(parents=True, exist_ok=True)
    for split, (split_images, split_labels) in splits.items():
        np.save(out / f"{split}_images.npy", split_images)
        np.save(out / f"{split}_labels.npy", split_labels)
    write_facts(out, compute_facts(splits))


def compute_facts(splits: dict[str, LabeledImages]) -> Facts:
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
