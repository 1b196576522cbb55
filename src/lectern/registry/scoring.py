"""A model folder and the test data at hand to what the gate asks about: score, items, time to answer, size.

Nothing here knows the store, so that it can be asked of a process that opens none (`beside.py`).
"""

import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from lectern.artifacts.model_metadata import read_metadata
from lectern.registry import gate_rules
from lectern.registry.gate_rules import Rule
from lectern.task_modules import task_module


@dataclass(frozen=True)
class Measurement:
    """What a model shows now, on this machine: latency in seconds for a small request, size in bytes of weights."""

    score: float
    items: pd.DataFrame
    latency: float
    size: float


def measure_model(folder: Path, processed: Path, items: pd.DataFrame | None = None) -> Measurement:
    """Score a model folder on the test data of `processed`, unless its `items` are known, and time its answers."""
    from lectern.artifacts import model_folder

    room = read_metadata(folder)["task"]
    module, report = model_folder.load_model(folder), task_module(room, "report.evaluate")
    if items is None:
        items = report.measure(module, processed)
    size = float((folder / "weights.safetensors").stat().st_size)
    return Measurement(
        report.score(items), items, measure_latency(module, task_module(room, "serving.inference_api"), processed), size
    )


def compare_items(room: str, new: pd.DataFrame, old: pd.DataFrame, sign: int, noise: dict[str, Any]) -> Rule:
    """Whether a candidate's items are better than the champion's by more than the noise, by the room's own score."""
    return gate_rules.better_than_noise(new, old, task_module(room, "report.evaluate").score, sign, **noise)


def measure_latency(module, inference_api, processed: Path, times: int = 7, patience: float = 1.0) -> float:
    """The median time to answer the room's example, after a first answer that only warms up.

    At most so many times, and no more once `patience` seconds are over: a page of text is timed once.
    """
    example = inference_api.example(processed)
    inference_api.predict(module, example)
    taken: list[float] = []
    while len(taken) < times and sum(taken) < patience:
        began = time.perf_counter()
        inference_api.predict(module, example)
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)
