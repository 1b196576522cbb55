"""Read CSV tables strictly, so that no cell is cut or moved to another column."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from lectern.errors import UserError


class TableRow(NamedTuple):
    """The cells of a row in the requested columns, the number of the last line of the row, and a problem.

    If a row cannot be read, `problem` contains the reason and `cells` is empty.
    """

    cells: tuple[Any, ...]
    line: int | None = None
    problem: str | None = None


def read_csv(path: Path, columns: list[str]) -> Iterator[TableRow]:
    """Yield the cells of each row of a CSV file with a header. Every cell is a string, and empty lines are skipped.

    A row that does not have one field per column has a problem. A byte that is not UTF-8 becomes a surrogate. Raises
    UserError if a column is missing, or if the quotes in the file are wrong.
    """
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        reader = csv.reader(file, strict=True)
        try:
            header = read_header(path, reader)
            check_columns(path, header, columns)
            indices = [header.index(column) for column in columns]
            for row in filter(None, reader):
                problem = find_row_problem(header, row)
                cells = () if problem else tuple(row[index] for index in indices)
                yield TableRow(cells, reader.line_num, problem)
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


def check_columns(path: Path, header: list[str], columns: list[str]) -> None:
    """Raise UserError if a column is missing."""
    missing = [name for name in columns if name not in header]
    if missing:
        raise UserError(f"{path} has no column {missing[0]!r}. Its columns are: {', '.join(map(str, header))}.")


def find_row_problem(header: list[str], row: list[str]) -> str | None:
    """Return an error message if the row does not have one field per column, and otherwise None."""
    if len(row) == len(header):
        return None
    columns = f"{len(header)} column{'s' * (len(header) > 1)} ({', '.join(header)})"
    field = f"field {len(header) + 1} is {row[len(header)]!r}" if len(row) > len(header) else "a field is missing"
    return f"the header has {columns}, but this line has {len(row)} fields; {field}. {QUOTING}"


QUOTING = 'Put a cell that contains a comma, a quote or a line break in double quotes, for example "forty-two, ten".'
