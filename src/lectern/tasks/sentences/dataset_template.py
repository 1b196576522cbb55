"""Fill in the config of a new dataset of labelled sentences."""

from collections.abc import Mapping
from typing import Any

from lectern.config import Score
from lectern.new_dataset.template import MISSING, DatasetTemplate, FoundFiles, Setting, single_name

SHARE = 0.1  # share of the sentences in a held-out split without a file of its own
VALIDATION, TEST = ("valid", "dev", "val."), ("test",)


def fill_template(files: FoundFiles) -> DatasetTemplate:
    """Return the config for files with one sentence per line, after its label. The names say which split a file is."""
    files.require_no_archive()
    validation, test = select(files.names, VALIDATION), select(files.names, TEST)
    train = [name for name in files.names if name not in validation and name not in test]
    settings = [
        Setting("classes", MISSING, "the names of the classes, in the order of the labels 0, 1, ..."),
        Setting("train", single_name(train), "a file with one sentence per line, after its label and a space"),
        Setting(
            "validation", single_name(validation) if validation else SHARE, "a file, or a share or number of sentences"
        ),
        Setting("test", single_name(test) if test else SHARE, "a file, or a share or number of sentences"),
        Setting("encoding", "utf-8", "the encoding of the files, such as utf-8 or windows-1252"),
    ]
    return DatasetTemplate(settings, describe_score, "sentence_cnn")


def describe_score(_: Mapping[str, Any]) -> Score:
    return Score(name="accuracy", unit="share of sentences", higher_is_better=True)


def select(names: list[str], words: tuple[str, ...]) -> list[str]:
    return [name for name in names if any(word in name.lower() for word in words)]
