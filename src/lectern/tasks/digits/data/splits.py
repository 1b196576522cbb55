"""Split images into training, validation and test images, so that equal images are in only one split."""

import sys
from pathlib import Path

import numpy as np

from lectern.artifacts.split_sizes import count_items
from lectern.config import Amount
from lectern.tasks.digits.data.class_shares import last_of_each_class
from lectern.tasks.digits.data.idx_files import LabeledImages, check_files_exist, read_labeled_images

Files = tuple[str, str]  # the names of a file with images and of a file with labels


def make_splits(
    raw: Path, validation: Amount, stratified: bool, train: Files, test: Files | Amount
) -> dict[str, LabeledImages]:
    """Return the images and labels of each split. An image is dropped if an equal image is in a later split."""
    names = [*train, *(test if isinstance(test, list | tuple) else ())]
    check_files_exist(raw, names)
    training_images = read_labeled_images(raw, *train)
    if isinstance(test, list | tuple):
        test_images = read_labeled_images(raw, *test)
    else:
        training_images, test_images = hold_out(training_images, test, stratified, "preprocess.test")
    training_images, validation_images = hold_out(training_images, validation, stratified, "preprocess.validation")
    held_out = drop_equal_images(validation_images, [test_images], "validation")
    remaining = drop_equal_images(training_images, [held_out, test_images], "train")
    return {"train": remaining, "validation": held_out, "test": test_images}


def hold_out(
    images: LabeledImages, amount: Amount, stratified: bool, where: str
) -> tuple[LabeledImages, LabeledImages]:
    """Return the remaining images and the held-out images.

    The last images of the file are held out. If `stratified` is true, the last images of each digit are held out
    instead.
    """
    values, labels = images
    count = count_items(amount, len(labels), where, "images")
    is_held_out = np.zeros(len(labels), bool)
    is_held_out[last_of_each_class(labels, count) if stratified else slice(-count, None)] = True
    return (values[~is_held_out], labels[~is_held_out]), (values[is_held_out], labels[is_held_out])


def drop_equal_images(images: LabeledImages, held_out: list[LabeledImages], split: str) -> LabeledImages:
    """Return the images that are not equal to a held-out image, and print the number of dropped images."""
    known = {image.tobytes() for held_out_images, _ in held_out for image in held_out_images}
    values, labels = images
    is_new = np.array([image.tobytes() not in known for image in values], bool)
    if not is_new.all():
        print(
            f"lectern: {(~is_new).sum():,} images of the {split} split were dropped, because equal images are held out",
            file=sys.stderr,
        )
    return values[is_new], labels[is_new]
