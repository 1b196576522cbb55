"""Read the input files of `lectern predict` in chunks."""

import mimetypes
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from lectern.artifacts.text_lines import split_lines
from lectern.errors import UserError
from lectern.serving.batching import Array
from lectern.serving.champions import Champion
from lectern.serving.csv_tables import read_csv
from lectern.serving.file_inputs import take_chunk
from lectern.user_files.system_files import is_system_file

TABLE_SUFFIXES = (".csv", ".parquet", ".txt")


@dataclass(frozen=True)
class Chunk:
    """Model inputs of one prediction call, with the file name and the row number of each input."""

    inputs: Any
    files: list[str]
    rows: list[int]


class Item(NamedTuple):
    """One input of a tensor model, with its file name and its row number in the file."""

    file: str
    row: int
    value: Array


def find_input_files(source: Path) -> list[Path]:
    """Return the files in the folder `source`, sorted by name, or `source` itself if it is a file.

    Raises UserError if there is no file.
    """
    files = [source]
    if source.is_dir():
        files = sorted(
            path for path in source.iterdir() if path.is_file() and not is_system_file(path.relative_to(source))
        )
    if not source.exists() or not files:
        raise UserError(
            f"--input is {source}, which does not exist or is empty. Set --input to a file or to a folder of files."
        )
    return files


def count_inputs(files: list[Path]) -> int | None:
    """Return the number of inputs in all files, or None if a file such as a video must be read to count them."""
    counts = [count_file_inputs(path) for path in files]
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def count_file_inputs(path: Path) -> int | None:
    suffix = path.suffix.lower()
    if suffix in (".csv", ".txt"):
        with path.open("rb") as lines:
            return sum(1 for _ in lines) - (suffix == ".csv")
    try:
        if suffix == ".parquet":
            return int(pq.ParquetFile(path).metadata.num_rows)
        if suffix == ".npy":
            return len(np.load(path, mmap_mode="r", allow_pickle=False))
    except (ValueError, OSError, TypeError):  # `read_chunks` later raises UserError for a damaged file
        return None
    return 1 if (mimetypes.guess_type(path.name)[0] or "").startswith("image/") else None


def read_chunks(files: list[Path], champion: Champion) -> Iterator[Chunk]:
    """Yield the inputs in all files in chunks of at most MAX_ROWS rows. Raises UserError if a file cannot be read."""
    is_tensor_model = champion.inference_api.signature().inputs.is_tensor_spec()
    readable = sorted(champion.request_module.FILE_READERS if is_tensor_model else TABLE_SUFFIXES)
    for path in files:
        if path.suffix.lower() not in readable:
            raise UserError(f"{path}: unknown file type. {champion.name} reads {', '.join(readable)}.")
    yield from (read_tensor_chunks if is_tensor_model else read_table_chunks)(files, champion)


def read_tensor_chunks(files: list[Path], champion: Champion) -> Iterator[Chunk]:
    """Yield chunks of inputs for a tensor model. All inputs of a chunk have the same shape.

    A chunk can contain inputs from several files.
    """
    items, max_rows = read_items(files, champion), champion.request_module.MAX_ROWS
    while group := take_chunk(items, max_rows, lambda item: item.value.nbytes):
        for shape in sorted({item.value.shape for item in group}):
            same_shape = [item for item in group if item.value.shape == shape]
            inputs = np.stack([item.value for item in same_shape])
            yield Chunk(inputs, [item.file for item in same_shape], [item.row for item in same_shape])


def read_items(files: list[Path], champion: Champion) -> Iterator[Item]:
    for path in files:
        try:
            for row, value in enumerate(champion.model.read_file(path, np.inf)):
                yield Item(path.name, row, value)
        except UserError as error:
            raise UserError(f"{path}: {error}") from error


def read_table_chunks(files: list[Path], champion: Champion) -> Iterator[Chunk]:
    """Yield chunks of table rows with the columns that the model needs. Each line of a `.txt` file is one row."""
    columns = champion.inference_api.signature().inputs.input_names()
    for path in files:
        start = 0
        for table in read_table(path, columns, champion.request_module.MAX_ROWS):
            missing = [name for name in columns if name not in table]
            if missing:
                found = ", ".join(map(str, table.columns))
                raise UserError(f"{path} has no column {missing[0]!r}. Its columns are: {found}.")
            yield Chunk(table[columns], [path.name] * len(table), list(range(start, start + len(table))))
            start += len(table)


def read_table(path: Path, columns: list[str], max_rows: int) -> Iterator[pd.DataFrame]:
    """Yield a table in pieces of at most `max_rows` rows.

    Raises UserError if the content of the file does not match the file type.
    """
    try:
        if path.suffix.lower() == ".parquet":
            for batch in pq.ParquetFile(path).iter_batches(max_rows):
                yield batch.to_pandas().reset_index(drop=True)
        elif path.suffix.lower() == ".csv":
            yield from read_csv(path, max_rows)
        else:
            with path.open(encoding="utf-8-sig", newline="\n") as file:
                while lines := split_lines("".join(islice(file, max_rows))):
                    yield pd.DataFrame({columns[0]: lines})
    except (ValueError, OSError) as error:  # The file is not valid UTF-8, CSV or Parquet.
        raise UserError(f"{path} cannot be read as {path.suffix[1:]}: {split_lines(str(error))[0]}") from error
