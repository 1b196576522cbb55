"""A model folder and the test data at hand to what the gate asks about: score, items, time to answer, size.

Nothing here knows the store, so that it can be asked of a process that opens none (`beside.py`).
"""

import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from lectern import gate
from lectern.description import read_description
from lectern.gate import Rule
from lectern.rooms import leg


@dataclass(frozen=True)
class Examined:
    """What a model shows now, on this machine: latency in seconds for a small request, size in bytes of weights."""

    score: float
    items: pd.DataFrame
    latency: float
    size: float


def examine(folder: Path, processed: Path, items: pd.DataFrame | None = None) -> Examined:
    """Score a model folder on the test data of `processed`, unless its `items` are known, and time its answers."""
    from lectern import models

    room = read_description(folder)["task"]
    module, report = models.load(folder), leg(room, "report")
    if items is None:
        items = report.measure(module, processed)
    size = float((folder / "weights.safetensors").stat().st_size)
    return Examined(report.score(items), items, time_answers(module, leg(room, "answer"), processed), size)


def compare(room: str, new: pd.DataFrame, old: pd.DataFrame, sign: int, noise: dict[str, Any]) -> Rule:
    """Whether a candidate's items are better than the champion's by more than the noise, by the room's own score."""
    return gate.better_than_noise(new, old, leg(room, "report").score, sign, **noise)


def time_answers(module, answer, processed: Path, times: int = 7, patience: float = 1.0) -> float:
    """The median time to answer the room's example, after a first answer that only warms up.

    At most so many times, and no more once `patience` seconds are over: a page of text is timed once.
    """
    example = answer.example(processed)
    answer.answer(module, example)
    taken: list[float] = []
    while len(taken) < times and sum(taken) < patience:
        began = time.perf_counter()
        answer.answer(module, example)
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)
