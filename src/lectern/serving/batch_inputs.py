"""Find the input files of `lectern predict`, and read their rows one after the other."""

import mimetypes
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq
from mlflow.types import DataType, Schema

from lectern.artifacts.text_lines import split_lines
from lectern.errors import UserError
from lectern.serving.champions import Champion
from lectern.serving.csv_tables import TableRow, check_columns, read_csv
from lectern.serving.deadline import ModelBusy
from lectern.serving.file_inputs import readable_suffixes
from lectern.user_files.plain_text import UTF_16_OR_32, decode_text
from lectern.user_files.system_files import is_system_file

TABLE_SUFFIXES = (".csv", ".parquet", ".txt")
PARQUET_ROWS = 1024  # number of rows of a Parquet file that are in memory at the same time


class Row(NamedTuple):
    """One input with its file name and its row index in the file.

    The value is an array for a tensor model, and the cells of a table row for other models. If a row cannot be
    predicted, `problem` contains the reason.
    """

    file: str
    number: int
    value: Any
    line: int | None = None
    problem: str | None = None


def find_input_files(source: Path) -> list[Path]:
    """Return the files in the folder `source`, sorted by name, or `source` itself if it is a file.

    Raises UserError if there is no file, or if the name of a file is not UTF-8, because tables contain UTF-8 only.
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
    check_file_names(files)
    return files


def check_file_names(files: list[Path]) -> None:
    """Raise UserError if the name of a file is not UTF-8. The message shows a wrong byte as an escape."""
    names = [escape_name(path.name) for path in files if has_surrogates(path.name)]
    if names:
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        raise UserError(
            f"--input: the file name {', '.join(names[:3])}{more} is not UTF-8, so the name cannot be written to a "
            "table. Rename the file."
        )


def escape_name(name: str) -> str:
    """Return a file name in which each byte that is not UTF-8 is an escape such as `\\xff`."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def has_surrogates(text: str) -> bool:
    """Return whether a text contains a surrogate, by which Python represents a byte that is not UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


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
    except (ValueError, OSError, TypeError):  # `read_rows` later reports a damaged file
        return None
    return 1 if (mimetypes.guess_type(path.name)[0] or "").startswith("image/") else None


def reads_tables(champion: Champion) -> bool:
    """Return whether the inputs of a model are the rows of a table."""
    return not champion.inference_api.signature().inputs.is_tensor_spec()


def check_file_types(files: list[Path], champion: Champion) -> None:
    """Raise UserError if the model cannot read a file of this type."""
    readable = sorted(TABLE_SUFFIXES if reads_tables(champion) else readable_suffixes(champion.request_module))
    if not readable:
        raise UserError(
            f"{champion.name} reads no files, because its task defines no FILE_READERS in serving/request.py."
        )
    for path in files:
        if path.suffix.lower() not in readable:
            raise UserError(f"{path}: unknown file type. {champion.name} reads {', '.join(readable)}.")


def read_rows(files: list[Path], champion: Champion) -> Iterator[Row]:
    """Yield the rows of all files. A row that cannot be read has a problem.

    Raises UserError if a table cannot be read.
    """
    check_file_types(files, champion)
    if reads_tables(champion):
        yield from read_table_rows(files, champion.inference_api.signature().inputs)
    else:
        for path in files:
            yield from read_tensor_rows(path, champion)


def read_tensor_rows(path: Path, champion: Champion) -> Iterator[Row]:
    """Yield the inputs in a file for a tensor model. If the file is damaged, the last row has a problem."""
    number = 0
    try:
        for value in champion.model.read_file(path, np.inf):
            yield Row(path.name, number, np.asarray(value))
            number += 1
    except ModelBusy:
        raise
    except UserError as error:
        yield Row(path.name, number, None, problem=str(error))


def read_table_rows(files: list[Path], schema: Schema) -> Iterator[Row]:
    """Yield table rows with the columns that the model needs. Each line of a `.txt` file is one row."""
    columns = list(map(str, schema.input_names()))
    texts = [index for index, kind in enumerate(schema.input_types()) if kind == DataType.string]
    for path in files:
        for number, row in enumerate(read_table(path, columns)):
            problem = row.problem or find_text_problem([(columns[index], row.cells[index]) for index in texts])
            yield Row(path.name, number, row.cells, row.line, problem)


def find_text_problem(cells: Iterable[tuple[str, Any]]) -> str | None:
    """Return an error message if a cell is not a text, and otherwise None."""
    for column, cell in cells:
        if not isinstance(cell, str):
            return f"{column} is {cell!r}; expected a text."
        if has_surrogates(cell):
            return f"{column} contains a byte that is not UTF-8. Convert the file to UTF-8, for example with iconv."
        if "\0" in cell:
            return f"{column} contains a NUL character, so the file is probably UTF-16. Convert the file to UTF-8."
    return None


def read_table(path: Path, columns: list[str]) -> Iterator[TableRow]:
    """Yield the rows of a table. Raises UserError if the content of the file does not match the file type."""
    try:
        if path.suffix.lower() == ".parquet":
            yield from read_parquet(path, columns)
            return
        check_byte_order_mark(path)
        yield from read_csv(path, columns) if path.suffix.lower() == ".csv" else read_text_lines(path)
    except (ValueError, OSError) as error:  # The file is damaged.
        raise UserError(f"{path} cannot be read as {path.suffix[1:]}: {split_lines(str(error))[0]}") from error


def read_parquet(path: Path, columns: list[str]) -> Iterator[TableRow]:
    with path.open("rb") as stream:
        file = pq.ParquetFile(stream)
        check_columns(path, file.schema_arrow.names, columns)
        for batch in file.iter_batches(PARQUET_ROWS, columns=columns):
            yield from map(TableRow, zip(*(batch.column(name).to_pylist() for name in columns), strict=True))


def check_byte_order_mark(path: Path) -> None:
    """Raise UserError if a file begins with the byte order mark of UTF-16 or UTF-32."""
    with path.open("rb") as file:
        start = file.read(4)
    if start.startswith(UTF_16_OR_32):
        decode_text(start, str(path))


def read_text_lines(path: Path) -> Iterator[TableRow]:
    """Yield one row per line. An empty line is a row with an empty text."""
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="\n") as file:
        for number, line in enumerate(file, 1):
            yield TableRow((line.removesuffix("\n").removesuffix("\r"),), number)
