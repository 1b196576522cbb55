"""Open the tracking store of this checkout, and print rows as a table or as JSON."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lectern.artifacts.paths import PIPELINE
from lectern.cli.completion import complete_names
from lectern.errors import UserError, escape_control_characters, print_message

if TYPE_CHECKING:  # importing MLflow takes seconds, and `lectern --help` does not need MLflow
    from mlflow import MlflowClient

    from lectern.registry.registered_model import RegisteredModel

Name = Annotated[
    str,
    typer.Argument(
        help="name of a registered model, which is the name of its dataset, such as mnist",
        autocompletion=complete_names,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="print JSON")]


def connect(warn: bool = True) -> "MlflowClient":
    """Return a client of the tracking store of this checkout.

    Prints a warning if experiments of this checkout are not registered in the tracking store. Raises UserError if the
    current folder is not a checkout.
    """
    from lectern.tracking import store

    if not PIPELINE.is_file():
        raise UserError(f"{Path.cwd()} has no {PIPELINE}. Run this command in the root folder of a Lectern checkout.")
    client = store.connect()
    if warn:
        warn_of_unregistered(client)
    return client


def warn_of_unregistered(client: "MlflowClient") -> None:
    from lectern.registry.overview import read_models, unregistered_experiments

    try:
        experiments = unregistered_experiments(read_models(client))
    except UserError as error:  # dvc.yaml is damaged, but most commands do not need the list of experiments
        print_warning(str(error))
        return
    if experiments:
        print_warning(f"this store has no version of {', '.join(experiments)}; run `lectern reconcile`")


def open_model(name: str) -> "RegisteredModel":
    """Read a registered model. Raises UserError with the nearest model name if no model `name` is registered."""
    client = connect()
    from lectern.registry.registered_model import RegisteredModel

    return RegisteredModel(client, name)


def print_warning(message: str) -> None:
    print_message(message)


def print_json(value: Any) -> None:
    """Print a value as one line of JSON."""
    print(json.dumps(value))


def print_text(text: str) -> None:
    """Print a text to the standard output, with escaped control characters."""
    print(escape_control_characters(text))


def show_table(rows: list[dict[str, Any]], as_json: bool, empty: str) -> None:
    """Print rows as a table or as JSON.

    All rows must have the same keys. If `rows` is empty, print the text `empty`, or an empty JSON list.
    """
    if as_json:
        print_json(rows)
    elif rows:
        Console().print(as_table(rows))
    else:
        print_text(empty)


def as_table(rows: list[dict[str, Any]]) -> Table:
    """Return a table with one column per key.

    In a narrow terminal, only columns with spaces are wrapped, because names and digests must stay on one line.
    """
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold underline")
    cells = [[format_cell(value) for value in row.values()] for row in rows]
    for key, column in zip(rows[0], zip(*cells, strict=True), strict=True):
        has_spaces = any(" " in cell for cell in column)
        table.add_column(Text(key.replace("_", " ")), no_wrap=not has_spaces, overflow="fold")
    for row in cells:
        table.add_row(*map(Text, row))  # rich reads a plain string such as "[/x]" as markup
    return table


def format_cell(value: Any) -> str:
    """Return a value as the text of a table cell. A float is a score and gets four decimals."""
    if value is None:
        return "-"
    return f"{value:.4f}" if isinstance(value, float) else escape_control_characters(str(value), kept="")
