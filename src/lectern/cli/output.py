"""What the commands share: the store of this checkout, and rows as a table or as JSON."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from lectern.artifacts.paths import PIPELINE
from lectern.cli.completion import complete_names
from lectern.errors import UserError

Name = Annotated[
    str, typer.Argument(help="a registered model, named after its data set: mnist", autocompletion=complete_names)
]
Json = Annotated[bool, typer.Option("--json", help="print JSON for a script")]


def connect(tell: bool = True):
    """The store's client; only in a checkout, where the outs and the trail are. Tells of outs that it lacks."""
    from lectern.tracking import store

    if not PIPELINE.is_file():
        raise UserError(f"{Path.cwd()} is not the root of a Lectern checkout (no dvc.yaml here). Change to it first.")
    client = store.connect()
    if tell:
        warn_of_missing(client)
    return client


def warn_of_missing(client) -> None:
    from lectern.registry import overview

    lost = overview.unregistered_experiments(client)
    if lost:
        print(
            f"lectern: this store has no version of {', '.join(lost)}; bring them back: lectern reconcile",
            file=sys.stderr,
        )


def print_json(value: Any) -> None:
    """One line for a script."""
    print(json.dumps(value))


def show_table(rows: list[dict], as_json: bool, nothing: str) -> None:
    """Rows of the same keys as a table, or as JSON for a script."""
    if as_json:
        print_json(rows)
    elif rows:
        Console().print(as_table(rows))
    else:
        print(nothing)


def as_table(rows: list[dict]) -> Table:
    """A column a key; where the terminal is narrow, text is broken first: half a name or a digest is of no use."""
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold underline")
    cells = [["-" if value is None else str(value) for value in row.values()] for row in rows]
    for key, column in zip(rows[0], zip(*cells, strict=True), strict=True):
        words = not any(" " in cell for cell in column)
        table.add_column(key.replace("_", " "), no_wrap=words, overflow="fold")
    for row in cells:
        table.add_row(*row)
    return table
