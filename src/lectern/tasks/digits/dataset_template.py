"""Fill in the config of a new dataset of digits. The names of IDX files often say what the files contain."""

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from lectern.config import Score
from lectern.new_dataset.template import MISSING, DatasetTemplate, FoundFiles, Setting, single_name

IMAGES, LABELS = ("images", "idx3"), ("labels", "idx1")
TEST = ("test", "t10k")


def fill_template(files: FoundFiles) -> DatasetTemplate:
    """Return the config for IDX files. A file pair is chosen if exactly one file has images and one file has labels."""
    files.require_no_archive()
    train, test = find_pair(files.names, is_test=False), find_pair(files.names, is_test=True)
    has_test = any(contains(name, TEST) for name in files.names)
    is_certain = train is not None and (test is not None or not has_test)
    settings = [
        Setting("train", train if is_certain else MISSING, "the file with the images and the file with the labels"),
        Setting("test", (test or 0.1) if is_certain else MISSING, "two files, or a share or number of training images"),
        Setting("validation", 0.1, "a share or number of the training images"),
        Setting("stratified", False, "set this value to true if the images are sorted by label"),
    ]
    return DatasetTemplate(settings, describe_score, "digits_cnn")


def describe_score(_: Mapping[str, Any]) -> Score:
    return Score(name="accuracy", unit="share of images", higher_is_better=True)


def find_pair(names: list[str], is_test: bool) -> list[str] | None:
    """Return the names of the single file with images and the single file with labels of a split, or None."""
    split = [name for name in names if contains(name, TEST) == is_test]
    pair = [single_name([name for name in split if contains(name, words)]) for words in (IMAGES, LABELS)]
    return None if MISSING in pair or pair[0] == pair[1] else pair


def contains(name: str, words: tuple[str, ...]) -> bool:
    return any(word in PurePosixPath(name).name.lower() for word in words)
