"""A parallel corpus, in whatever files it comes, to pairs of lines: line n of one language is line n of the other."""

import gzip
import re
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from lectern.errors import UserError

LANGUAGE = "{language}"
SIDES = ["source", "target"]


@dataclass(frozen=True)
class Corpus:
    """Tables of pairs, columns `source` and `target`; of the tests, the first is the one that models are scored on."""

    train: pd.DataFrame
    validation: pd.DataFrame
    tests: dict[str, pd.DataFrame]

    @property
    def learned(self) -> dict[str, pd.DataFrame]:
        return {"train": self.train, "validation": self.validation}


def read_corpus(
    raw: Path, languages: tuple[str, str], columns: Sequence[int], train: str, validation: str | int, tests: list[str]
) -> Corpus:
    """All parts of a corpus, each named as `read_pairs` takes it; a number holds as many pairs out of the training."""
    learned = read_pairs(raw, train, languages, columns)
    if isinstance(validation, int):
        learned, checked = hold_out(learned, validation)
    else:
        checked = read_pairs(raw, validation, languages, columns)
    parts = {part_name(name): read_pairs(raw, name, languages, columns) for name in tests}
    if len(parts) < len(tests):
        raise UserError(f"Tests are known by their files' names up to the dot, and two have the same: {tests}.")
    return Corpus(learned, checked, parts)


def part_name(name: str) -> str:
    """`test_2016_flickr` of `task1/test_2016_flickr.{language}.gz`."""
    return name.split("/")[-1].split(".")[0]


def read_pairs(raw: Path, name: str, languages: tuple[str, str], columns: Sequence[int]) -> pd.DataFrame:
    """The pairs of one part of a corpus, columns `source` and `target`, exactly as they stand in the files.

    `name` is a file in `raw`, plain, gzipped (`.gz`) or in an archive (`corpus.zip/folder/file`). With `{language}`
    in it there are two files of parallel lines; without, one tab-separated file whose `columns` are taken.
    Raises UserError for files that are missing, damaged, not UTF-8, or not parallel.
    """
    if LANGUAGE not in name:
        return read_table(raw, name, columns)
    sides = [read_lines(raw, name, language) for language in languages]
    if len(sides[0]) != len(sides[1]):
        counts = " and ".join(
            f"{name.replace(LANGUAGE, language)} has {len(side):,}"
            for language, side in zip(languages, sides, strict=True)
        )
        raise UserError(f"{raw}: parallel files have as many lines, but {counts}. Get both from the same release.")
    return pd.DataFrame(dict(zip(SIDES, sides, strict=True)), dtype=object)


def read_table(raw: Path, name: str, columns: Sequence[int]) -> pd.DataFrame:
    """Two columns of a tab-separated file."""
    rows = [line.split("\t") for line in read_lines(raw, name)]
    for number, row in enumerate(rows, 1):
        if len(row) <= max(columns):
            raise UserError(
                f"{raw / name}, line {number}: {len(row)} tab-separated columns, where {list(columns)} (from 0) "
                "are asked for. Mend the line, or preprocess.columns."
            )
    return pd.DataFrame([[row[column] for column in columns] for row in rows], columns=SIDES, dtype=object)


def read_lines(raw: Path, name: str, language: str = "") -> list[str]:
    """The lines of a file, without their ends. Only a line feed ends a line: others would tear pairs apart."""
    data = read_bytes(raw, name, language)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"{raw / name.replace(LANGUAGE, language)}, line {line}: byte 0x{data[error.start]:02x} is not UTF-8. "
            "Convert the file (iconv -t UTF-8), or get it anew."
        ) from error
    lines = text.split("\n")
    return [line.removesuffix("\r") for line in (lines if lines[-1] else lines[:-1])]


def read_bytes(raw: Path, name: str, language: str) -> bytes:
    """The bytes of a file, unpacked."""
    path = name.replace(LANGUAGE, language)
    archive, _, member = path.partition(".zip/")
    try:
        if not member:
            data = (raw / path).read_bytes()
        else:
            with zipfile.ZipFile(raw / f"{archive}.zip") as folder:
                data = folder.read(member)
        return gzip.decompress(data) if path.endswith(".gz") else data
    except (FileNotFoundError, KeyError) as error:
        raise UserError(f"{raw / path} is not there. {what_is_there(raw, name)}") from error
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise UserError(f"{raw / path} cannot be unpacked ({error}). Delete it and download it again.") from error


def what_is_there(raw: Path, name: str) -> str:
    """The languages that a pattern finds, or else the files, for whoever asked for another."""
    files = names_in(raw, name)
    before, _, after = name.partition(LANGUAGE)
    pattern = re.compile(re.escape(before) + r"(\w+)" + re.escape(after))
    languages = [match[1] for match in map(pattern.fullmatch, files) if match]
    if LANGUAGE in name and languages:
        return f"The languages of {name} are: {', '.join(languages)}. Set preprocess.source and preprocess.target."
    return f"There is: {', '.join(files) or 'nothing'}. Download it first: dvc repro download@{raw.name}"


def names_in(raw: Path, name: str) -> list[str]:
    """The files that could have been meant, named as in a config."""
    archive, _, member = name.partition(".zip/")
    if not member:
        return sorted(path.name for path in raw.glob("*"))
    if not (raw / f"{archive}.zip").is_file():
        return sorted(path.name for path in raw.glob("*"))
    with zipfile.ZipFile(raw / f"{archive}.zip") as folder:
        return [f"{archive}.zip/{inside}" for inside in sorted(folder.namelist())]


def hold_out(pairs: pd.DataFrame, count: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(the rest, `count` pairs drawn from them), for a corpus that comes in one piece."""
    if not 0 < count < len(pairs):
        raise UserError(f"{count:,} pairs are to be held out of {len(pairs):,}: some must stay to train on.")
    drawn = np.zeros(len(pairs), bool)
    drawn[np.random.default_rng(0).permutation(len(pairs))[:count]] = True
    return pairs[~drawn].reset_index(drop=True), pairs[drawn].reset_index(drop=True)
