"""Read files with one sentence per line, after the label of the sentence and a space."""

from pathlib import Path

import pandas as pd

from lectern.artifacts.text_lines import split_lines
from lectern.errors import UserError
from lectern.tasks.sentences.data.format.words import split_words
from lectern.user_files.plain_text import decode_text

FORMAT = "Expected the number of a class, a space and a sentence, such as `1 a good film .`"

MAX_CLASSES = 1_000_000  # limit of labels that are not used
MAX_DIGITS = 9  # Python refuses to convert very long numbers


def read_labelled_lines(path: Path, encoding: str, classes: int | None, max_words: int) -> pd.DataFrame:
    """Return a table with the columns `text` and `label`, one row per line.

    Only a line feed ends a line, because U+0085 and other Unicode line breaks occur inside sentences. If `classes` is
    None, the labels are not compared with a number of classes. Raises UserError with the number of the line if the file
    does not have this format.
    """
    lines = split_lines(decode_text(read_file(path), str(path), encoding))
    if not lines:
        raise UserError(f"{path} is empty. {FORMAT}.")
    rows = [read_line(line, classes, max_words, f"{path}, line {number}") for number, line in enumerate(lines, 1)]
    return pd.DataFrame(rows, columns=["text", "label"])


def read_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        available = ", ".join(sorted(file.name for file in path.parent.glob("*"))) or "none"
        raise UserError(
            f"{path} does not exist. Available files: {available}. To download the files, run "
            f"`dvc repro download@{path.parent.name}`."
        ) from error
    except OSError as error:
        raise UserError(f"Cannot read {path} ({error}). Check the file.") from error


def read_line(line: str, classes: int | None, max_words: int, place: str) -> tuple[str, int]:
    """Return the sentence and the label of a line. Raises UserError if the line does not have the expected format."""
    label, space, text = line.partition(" ")
    if not (label.isascii() and label.isdigit()) or not space:
        raise UserError(f"{place}: found {line[:60]!r}. {FORMAT}.")
    if len(label) > MAX_DIGITS or int(label) >= (classes or MAX_CLASSES):
        raise UserError(
            f"{place}: the label is {label[:60]}, but preprocess.classes has {classes or MAX_CLASSES:,} names, whose "
            "numbers start with 0. Add the missing names, or correct the label."
        )
    words = len(split_words(text))
    if words == 0:
        raise UserError(f"{place}: the sentence is empty. Remove the line, or add the sentence.")
    if words > max_words:
        raise UserError(
            f"{place}: the sentence has {words:,} words; preprocess.max_words is {max_words:,}. Split the sentence, "
            "or set preprocess.max_words to a larger number."
        )
    return text.strip(), int(label)
