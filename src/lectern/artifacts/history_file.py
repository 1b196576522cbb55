"""Write and read `history.csv` (metrics) and `text_samples.jsonl` (generated texts), the history of a training."""

import json
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from lectern.artifacts.text_lines import split_lines
from lectern.atomic import atomic_file


class Record(NamedTuple):
    """A value of a metric, and the training step and the epoch of its measurement."""

    step: int
    epoch: int
    name: str
    value: float


class TextSample(NamedTuple):
    """A text that a module produced at a training step, such as a sample of a language model."""

    step: int
    epoch: int
    name: str
    text: str


def write_history(records: list[Record], text_samples: list[TextSample], folder: Path) -> None:
    """Write `history.csv`, and also `text_samples.jsonl` if the training produced text samples."""
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_file(folder / "history.csv") as part:
        pd.DataFrame(records, columns=list(Record._fields)).to_csv(part, index=False, lineterminator="\n")
    if text_samples:
        lines = (json.dumps(sample._asdict(), ensure_ascii=False) + "\n" for sample in text_samples)
        with atomic_file(folder / "text_samples.jsonl") as part:
            part.write_text("".join(lines), encoding="utf-8")


def read_history(folder: Path) -> tuple[pd.DataFrame, list[TextSample]]:
    """Return the table of metrics and the text samples of a model folder."""
    path = folder / "text_samples.jsonl"
    lines = split_lines(path.read_text(encoding="utf-8")) if path.is_file() else []
    table = pd.read_csv(folder / "history.csv", float_precision="round_trip")
    return table, [TextSample(**json.loads(line)) for line in lines]


def read_records(folder: Path) -> tuple[list[Record], list[TextSample]]:
    """Return the metrics and the text samples of a model folder, in the form that `write_history` accepts."""
    table, text_samples = read_history(folder)
    return [Record(*row) for row in table.itertuples(index=False)], text_samples
