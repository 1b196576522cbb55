"""Test splits by number and share, images that are in two files, and files with other names than those of MNIST."""

import gzip

import numpy as np
import pytest

from lectern.tasks.digits.data.preprocess import TEST_FILES, TRAIN_FILES, preprocess
from test_digits_preprocess import SPLITS, load_images, make_images, raw, to_set, write_raw

__all__ = ["raw"]  # imported because it is a fixture


def test_other_names_and_files_that_are_not_compressed_are_read(raw, tmp_path):
    preprocess(raw, tmp_path / "usual", validation=12)
    names = {"train": ("X.gz", "y"), "test": ("X-test", "y-test.gz")}
    for old, new in zip((*TRAIN_FILES, *TEST_FILES), (*names["train"], *names["test"]), strict=True):
        content = gzip.decompress((raw / old).read_bytes())
        (raw / new.removesuffix(".gz")).write_bytes(content)  # the endings in the config do not matter
        (raw / old).unlink()
    preprocess(raw, tmp_path / "other", validation=12, **names)
    usual, other = (load_images(tmp_path / name) for name in ("usual", "other"))
    assert all(np.array_equal(usual[split], other[split]) for split in SPLITS)


@pytest.mark.parametrize("stratified", [False, True])
def test_shares_of_one_file_become_the_validation_and_the_test_split(raw, tmp_path, stratified):
    for name in TEST_FILES:
        (raw / name).unlink()
    preprocess(raw, tmp_path / "out", validation=0.25, test=0.2, stratified=stratified)
    images = load_images(tmp_path / "out")
    assert {split: len(images[split]) for split in SPLITS} == {"train": 36, "validation": 12, "test": 12}
    assert len(set.union(*(to_set(images[split]) for split in SPLITS))) == 60


def test_an_image_that_is_in_two_splits_stays_only_in_the_later_one(tmp_path, capsys):
    train, test = make_images(60), make_images(30, first=1000)
    train[:3], train[55] = test[:3], train[5]  # the last 12 training images become the validation split
    preprocess(write_raw(tmp_path / "raw", train, test), tmp_path / "out", validation=12)
    images = load_images(tmp_path / "out")
    assert {split: len(images[split]) for split in SPLITS} == {"train": 44, "validation": 12, "test": 30}
    assert not to_set(images["train"]) & (to_set(images["validation"]) | to_set(images["test"]))
    assert "4 images of the train split were dropped" in capsys.readouterr().err
