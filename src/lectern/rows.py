"""A training's rows and shown texts to the files of a model folder, and back."""

import json
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from lectern.unfinished import unfinished_file


class Row(NamedTuple):
    """A value that was measured at a step."""

    step: int
    epoch: int
    name: str
    value: float


class Shown(NamedTuple):
    """A text that the module showed at a step, as a language model its sample."""

    step: int
    epoch: int
    name: str
    text: str


def write(rows: list[Row], shown: list[Shown], folder: Path) -> None:
    """`history.csv`, and `shown.jsonl` where there are texts."""
    folder.mkdir(parents=True, exist_ok=True)
    with unfinished_file(folder / "history.csv") as part:
        pd.DataFrame(rows, columns=list(Row._fields)).to_csv(part, index=False, lineterminator="\n")
    if shown:
        lines = (json.dumps(text._asdict(), ensure_ascii=False) + "\n" for text in shown)
        with unfinished_file(folder / "shown.jsonl") as part:
            part.write_text("".join(lines))


def read(folder: Path) -> tuple[pd.DataFrame, list[Shown]]:
    """The rows and the shown texts of a model folder."""
    shown = folder / "shown.jsonl"
    lines = shown.read_text().splitlines() if shown.is_file() else []
    return pd.read_csv(folder / "history.csv"), [Shown(**json.loads(line)) for line in lines]
