"""A report's `details.json` to tables: the metrics of each class or kind, beside their baselines where it has them.

Two shapes of details are slices: lists of numbers that run side by side (a row a class), and tables of named rows.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any


def slice_tables(report: Path) -> Iterator[tuple[str, str]]:
    """Title and Markdown table of each kind of slice."""
    path = report / "details.json"
    details = json.loads(path.read_text()) if path.is_file() else {}
    lists = {name: value for name, value in details.items() if is_list_of_numbers(value)}
    for length in sorted({len(value) for value in lists.values()}):
        alike = {name: value for name, value in lists.items() if len(value) == length}
        yield "By class", as_table({str(row): {name: alike[name][row] for name in alike} for row in range(length)})
    for name, value in details.items():
        if is_named_rows(value):
            yield name.replace("_", " ").capitalize(), as_table(value)


def is_list_of_numbers(value: Any) -> bool:
    return isinstance(value, list) and len(value) > 1 and all(is_number(one) for one in value)


def is_named_rows(value: Any) -> bool:
    """Two rows or more, each with the same numbers."""
    if not isinstance(value, Mapping) or len(value) < 2 or not all(isinstance(row, Mapping) for row in value.values()):
        return False
    columns = [list(row) for row in value.values()]
    return bool(columns[0]) and all(row == columns[0] for row in columns) and all(map(only_numbers, value.values()))


def only_numbers(row: Mapping[str, Any]) -> bool:
    return all(is_number(one) for one in row.values())


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def as_table(named: Mapping[str, Mapping[str, int | float]]) -> str:
    """Rows by name; every row has the same columns."""
    columns = list(next(iter(named.values())))
    head = f"| | {' | '.join(column.replace('_', ' ') for column in columns)} |"
    line = f"| --- |{' ---: |' * len(columns)}"
    body = [f"| {name} | {' | '.join(show(row[column]) for column in columns)} |" for name, row in named.items()]
    return "\n".join([head, line, *body])


def show(number: int | float) -> str:
    return f"{number:,}" if isinstance(number, int) else f"{number:.4g}"
