"""Add buttons with example inputs, and read the input example of a version."""

import json
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

from mlflow import MlflowClient
from nicegui import ui

from lectern.errors import UserError
from lectern.serving.champions import Champion, Champions
from lectern.tracking.downloads import download

MAX_EXAMPLES = 6
MAX_FILES = 64  # maximum number of input examples that are kept in memory
MAX_CHARACTERS = 40  # a longer text is cut on its button


def read_input_example(champions: Champions, champion: Champion) -> list[Any]:
    """Return the rows of a version's input example, or an empty list if the version has no example.

    A row of a table is the list of its values, and a row of an array is a nested list of numbers.
    """
    data = json.loads(read_example_file(champions.client, champion.version.source))
    rows = data.get("data", []) if isinstance(data, dict) else data
    return rows if isinstance(rows, list) else []


@lru_cache(MAX_FILES)
def read_example_file(client: MlflowClient, source: str) -> str:
    """Return the JSON of the input example among the files of a version, or an empty list if it is missing."""
    try:
        text = download(f"{source}/input_example.json", client.tracking_uri).read_text()
        json.loads(text)
    except (UserError, OSError, ValueError):
        return "[]"
    return text


def add_text_examples(texts: list[str], on_choice: Callable[[str], object]) -> None:
    """Add one button per example text. A click passes the complete text to `on_choice`."""
    if not texts:
        return
    with ui.row().classes("examples").props('role=group aria-label="Examples"'):
        ui.label("Examples").classes("note")
        for text in texts[:MAX_EXAMPLES]:
            ui.button(shorten(text), on_click=partial(on_choice, text)).props("outline dense no-caps").classes(
                "example"
            )


def shorten(text: str) -> str:
    """Return a text in one line, cut to a length that fits on a button."""
    line = " ".join(text.split())
    return line if len(line) <= MAX_CHARACTERS else f"{line[:MAX_CHARACTERS].rstrip()}…"
