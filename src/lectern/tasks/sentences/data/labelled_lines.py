"""Read files with one sentence per line, after the label of the sentence and a space."""

import codecs
from pathlib import Path

import pandas as pd

from lectern.artifacts.text_lines import split_lines
from lectern.errors import UserError
from lectern.tasks.sentences.data.format.words import split_words
from lectern.user_files.plain_text import decode_text

FORMAT = "Expected the number of a class, a space and a sentence, such as `1 a good film .`"


def read_labelled_lines(path: Path, encoding: str, classes: int, max_words: int) -> pd.DataFrame:
    """Return a table with the columns `text` and `label`, one row per line.

    Only a line feed ends a line, because U+0085 and other Unicode line breaks occur inside sentences. Raises UserError
    with the number of the line if the file does not have this format.
    """
    lines = split_lines(decode_file(path, encoding))
    if not lines:
        raise UserError(f"{path} is empty. {FORMAT}.")
    rows = [read_line(line, classes, max_words, f"{path}, line {number}") for number, line in enumerate(lines, 1)]
    return pd.DataFrame(rows, columns=["text", "label"])


def decode_file(path: Path, encoding: str) -> str:
    """Return the text of a file. Raises UserError with the line and the byte that the encoding does not contain."""
    codec = find_codec(encoding)
    data = read_file(path)
    if codec == "utf-8":
        return decode_text(data, str(path))
    try:
        text = data.decode(codec)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"{path}, line {line}: byte 0x{data[error.start]:02x} does not exist in {encoding}. Set "
            "preprocess.encoding to the encoding of the file."
        ) from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise UserError(f"{path}, line {line}: the text contains a NUL character. Remove it.")
    return text


def find_codec(encoding: str) -> str:
    try:
        return codecs.lookup(encoding).name
    except LookupError as error:
        raise UserError(
            f"preprocess.encoding is {encoding!r}; expected the name of an encoding, such as utf-8 or windows-1252."
        ) from error


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


def read_line(line: str, classes: int, max_words: int, place: str) -> tuple[str, int]:
    """Return the sentence and the label of a line. Raises UserError if the line does not have the expected format."""
    label, space, text = line.partition(" ")
    if not (label.isascii() and label.isdigit()) or not space:
        raise UserError(f"{place}: found {line[:60]!r}. {FORMAT}.")
    if int(label) >= classes:
        raise UserError(
            f"{place}: the label is {label}, but preprocess.classes has {classes} names, which have the numbers 0 to "
            f"{classes - 1}. Add the missing names, or correct the label."
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
