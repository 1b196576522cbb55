"""Collect, in a file or for an error message, the rows that `lectern predict` cannot predict."""

import csv
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from lectern.atomic import atomic_file
from lectern.errors import UserError
from lectern.serving.batch_inputs import Row
from lectern.serving.deadline import ModelBusy

MAX_REPORTED_ROWS = 20  # further rows are only counted in the error message
COLUMNS = ("item", "row", "reason")


class BadRows:
    """The number of rows that cannot be predicted, and the first of these rows.

    If `file` is given, all of these rows are written to this file.
    """

    def __init__(self, file: Path | None = None):
        self.file, self.count = file, 0
        self.first: list[str] = []
        self.writer: Any = None

    @contextmanager
    def open(self) -> Iterator[Self]:
        """Create the file, and close it at the end of the block."""
        if self.file is None:
            yield self
            return
        with self.file.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
            self.writer = csv.writer(file, lineterminator="\n")
            self.writer.writerow(COLUMNS)
            yield self

    def add(self, row: Row, reason: str) -> None:
        self.count += 1
        if self.writer:
            self.writer.writerow([row.file, row.number, reason])
        if len(self.first) < MAX_REPORTED_ROWS:
            line = "" if row.line is None else f" (line {row.line})"
            self.first.append(f"{row.file}, row {row.number}{line}: {reason}")

    def add_all(self, rows: list[Row], reasons: dict[int, str]) -> None:
        """Add the rows whose index is a key of `reasons`."""
        for index, reason in sorted(reasons.items()):
            self.add(rows[index], reason)

    def keep_good(self, rows: Iterator[Row]) -> Iterator[Row]:
        """Yield the rows without a problem, and add the other rows."""
        for row in rows:
            if row.problem is None:
                yield row
            else:
                self.add(row, row.problem)

    def check(self) -> None:
        """Raise UserError with the first rows if a row cannot be predicted and no file collects these rows."""
        if self.count and self.file is None:
            more = [f"and {self.count - len(self.first):,} more"] if self.count > len(self.first) else []
            raise UserError(
                "\n  ".join([f"{format_count(self.count)} cannot be predicted:", *self.first, *more])
                + "\nCorrect the input and run the same command again; finished predictions are kept. "
                "Or add --bad-rows bad.csv to write these rows to a file and to predict the other rows."
            )


def format_count(count: int) -> str:
    return f"{count:,} row{'s' * (count != 1)}"


def find_bad_rows(run: Callable[[list[Row]], Any], rows: list[Row]) -> dict[int, str]:
    """Return a dict that maps the index of each row for which `run` raises UserError to the error message.

    `run` is called for smaller and smaller groups of rows.
    """
    try:
        run(rows)
    except ModelBusy:
        raise
    except UserError as error:
        if len(rows) == 1:
            return {0: str(error)}
        middle = len(rows) // 2
        second = find_bad_rows(run, rows[middle:])
        return find_bad_rows(run, rows[:middle]) | {middle + index: reason for index, reason in second.items()}
    return {}


def publish_bad_rows(source: Path, output: Path, record: Callable[[Path, Path], None]) -> None:
    """Copy the file with the collected rows to its final name. `record` is called before the rename."""
    with atomic_file(output) as temporary:
        shutil.copyfile(source, temporary)
        record(output, temporary)
