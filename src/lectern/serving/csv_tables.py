"""Read CSV tables strictly, so that no cell is cut or moved to another column."""

import csv
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pandas as pd

from lectern.errors import UserError


def read_csv(path: Path, max_rows: int) -> Iterator[pd.DataFrame]:
    """Yield a CSV file with a header in tables of at most `max_rows` rows. Every cell is a string.

    Empty lines are skipped. Raises UserError with the line and the columns if a row does not have one field per column.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        try:
            header = read_header(path, reader)
            rows = (check_row(path, reader.line_num, header, row) for row in reader if row)
            while chunk := list(islice(rows, max_rows)):
                yield pd.DataFrame(chunk, columns=header)
        except csv.Error as error:
            raise UserError(f"{path}, line {reader.line_num}: {error}. {QUOTING}") from error


def read_header(path: Path, rows: Iterator[list[str]]) -> list[str]:
    """Return the names of the columns."""
    header = [name.strip() for name in next(rows, [])]
    if not any(header):
        raise UserError(f"{path} has no header. The first line must contain the names of the columns.")
    repeated = sorted({name for name in header if header.count(name) > 1})
    if repeated:
        raise UserError(f"{path} has several columns with the name {repeated[0]!r}. Rename these columns.")
    return header


def check_row(path: Path, line: int, header: list[str], row: list[str]) -> list[str]:
    """Return a row. Raises UserError if the row does not have one field per column."""
    if len(row) == len(header):
        return row
    columns = f"{len(header)} column{'s' * (len(header) > 1)} ({', '.join(header)})"
    field = f"field {len(header) + 1} is {row[len(header)]!r}" if len(row) > len(header) else "a field is missing"
    raise UserError(
        f"{path}, line {line}: the header has {columns}, but this line has {len(row)} fields; {field}. {QUOTING}"
    )


QUOTING = 'Put a cell that contains a comma, a quote or a line break in double quotes, for example "forty-two, ten".'
