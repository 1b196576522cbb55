"""Test stratified splits, and that splits without a class or with very different class shares are refused."""

import numpy as np
import pytest

from lectern.artifacts.dataset import read_facts
from lectern.errors import UserError
from lectern.tasks.digits.data.class_shares import check_class_shares, last_of_each_class
from lectern.tasks.digits.data.preprocess import TEST_FILES, TRAIN_FILES, preprocess
from lectern.tasks.digits.data.samples import write_idx

SHUFFLED = np.random.default_rng(0).permutation(np.repeat(np.arange(10), 60)).astype(np.uint8)


def write_raw(folder, train, test):
    folder.mkdir()
    for (images_name, labels_name), labels in ((TRAIN_FILES, train), (TEST_FILES, test)):
        seed = [len(labels), int(labels[0])]  # no image is in two files
        images = np.random.default_rng(seed).integers(0, 256, (len(labels), 28, 28)).astype(np.uint8)
        write_idx(folder / images_name, images)
        write_idx(folder / labels_name, labels)
    return folder


def test_training_images_that_are_sorted_by_class_are_refused(tmp_path):
    raw = write_raw(tmp_path / "raw", np.sort(SHUFFLED), SHUFFLED)
    message = (
        r"The validation split has no image of the digits 0, .*8\. .*validation: 0, .*, 50.*preprocess\.stratified"
    )
    with pytest.raises(UserError, match=message):
        preprocess(raw, tmp_path / "out", 50)
    assert not (tmp_path / "out").exists()


def test_a_stratified_split_has_the_last_images_of_each_class(tmp_path):
    raw = write_raw(tmp_path / "raw", np.sort(SHUFFLED), SHUFFLED)
    preprocess(raw, tmp_path / "out", 50, stratified=True)
    labels = np.load(tmp_path / "out" / "validation_labels.npy")
    assert np.bincount(labels).tolist() == [5] * 10
    assert read_facts(tmp_path / "out")["items"] == {"train": 550, "validation": 50, "test": 600}
    indices = last_of_each_class(np.sort(SHUFFLED), 50)
    assert indices.tolist() == [60 * digit + number for digit in range(10) for number in range(55, 60)]


@pytest.mark.parametrize("count", [1, 9, 33, 127, 600])
def test_a_stratified_split_has_the_requested_number_of_images(count):
    labels = np.repeat(np.arange(3), [500, 97, 3])
    indices = last_of_each_class(labels, count)
    assert len(indices) == len(set(indices)) == count
    expected = np.bincount(labels) * count / len(labels)
    assert (np.abs(np.bincount(labels[indices], minlength=3) - expected) < 1).all()


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_a_split_without_a_class_is_refused(split):
    labels = {name: SHUFFLED for name in ("train", "validation", "test")}
    labels[split] = SHUFFLED[SHUFFLED != 7]
    with pytest.raises(UserError, match=f"The {split} split has no image of the digits 7"):
        check_class_shares(labels)


def test_very_different_class_shares_are_refused():
    unbalanced = np.concatenate([SHUFFLED, np.full(400, 3, np.uint8)])
    with pytest.raises(
        UserError, match="the digits in the test split differ by 36% from the shares in the train split"
    ):
        check_class_shares({"train": SHUFFLED, "validation": SHUFFLED, "test": unbalanced})


def test_the_variation_of_small_random_splits_is_accepted():
    draw = np.random.default_rng(1)
    refused = 0
    for _ in range(50):
        splits = {"train": SHUFFLED, "validation": draw.choice(SHUFFLED, 240), "test": draw.choice(SHUFFLED, 300)}
        try:
            check_class_shares(splits)
        except UserError:
            refused += 1
    assert refused == 0
