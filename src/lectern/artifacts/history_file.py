"""A training's rows and shown texts to the files of a model folder, and back."""

import json
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from lectern.atomic import atomic_file


class Record(NamedTuple):
    """A value that was measured at a step."""

    step: int
    epoch: int
    name: str
    value: float


class TextSample(NamedTuple):
    """A text that the module showed at a step, as a language model its sample."""

    step: int
    epoch: int
    name: str
    text: str


def write_history(rows: list[Record], shown: list[TextSample], folder: Path) -> None:
    """`history.csv`, and `text_samples.jsonl` where there are texts."""
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_file(folder / "history.csv") as part:
        pd.DataFrame(rows, columns=list(Record._fields)).to_csv(part, index=False, lineterminator="\n")
    if shown:
        lines = (json.dumps(text._asdict(), ensure_ascii=False) + "\n" for text in shown)
        with atomic_file(folder / "text_samples.jsonl") as part:
            part.write_text("".join(lines))


def read_history(folder: Path) -> tuple[pd.DataFrame, list[TextSample]]:
    """The rows and the shown texts of a model folder."""
    shown = folder / "text_samples.jsonl"
    lines = shown.read_text().splitlines() if shown.is_file() else []
    return pd.read_csv(folder / "history.csv"), [TextSample(**json.loads(line)) for line in lines]
