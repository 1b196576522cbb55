"""Merge the finished parts of `lectern predict` into one table, with one part at a time in memory."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from lectern.atomic import atomic_file
from lectern.errors import UserError
from lectern.serving.part_folder import PartFolder

FILE_COLUMN, ROW_COLUMN, VERSION_COLUMN = "item", "row", "version"


def merge_parts(folder: PartFolder, output: Path, version: int) -> int:
    """Merge the parts in their order into the file `output`, and return the number of rows.

    If the disk is full, the parts are kept. Raises UserError if there are no rows.
    """
    rows = 0
    with atomic_file(output) as temporary:
        with open_table(temporary, output.suffix.lower()) as write_rows:
            for table in read_output_tables(folder, version):
                write_rows(table)
                rows += len(table)
        if not rows:
            raise UserError("--input contains no rows that can be predicted.")
        folder.record_output(output, temporary)
    return rows


def read_output_tables(folder: PartFolder, version: int) -> Iterator[pd.DataFrame]:
    """Yield the outputs of each part, with the file name and the row index of each input."""
    with folder.order_file.open(encoding="utf-8") as order:
        for line in order:
            entry = json.loads(line)
            if not entry["rows"]:
                continue
            outputs = folder.read_outputs(entry["part"])
            outputs_per_input = len(outputs) // len(entry["rows"])
            outputs.insert(0, FILE_COLUMN, np.repeat(entry["files"], outputs_per_input))
            outputs.insert(1, ROW_COLUMN, np.repeat(entry["rows"], outputs_per_input))
            outputs[VERSION_COLUMN] = version
            yield outputs


def dicts_as_json(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table for a CSV file, in which a dict is JSON text."""
    return table.map(lambda value: json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else value)


@contextmanager
def open_table(path: Path, suffix: str) -> Iterator[Callable[[pd.DataFrame], None]]:
    """Yield a function that appends rows to a new CSV or Parquet file."""
    if suffix == ".csv":
        with path.open("w", encoding="utf-8", newline="") as text:
            yield lambda table: dicts_as_json(table).to_csv(
                text, header=text.tell() == 0, index=False, lineterminator="\n"
            )
        return
    with path.open("wb") as file:
        writer: pq.ParquetWriter | None = None

        def write_rows(table: pd.DataFrame) -> None:
            nonlocal writer
            rows = pa.Table.from_pandas(table, preserve_index=False)
            writer = writer or pq.ParquetWriter(file, rows.schema)
            writer.write_table(rows)

        yield write_rows
        if writer:
            writer.close()
