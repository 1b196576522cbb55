"""Measure a model folder on the test data: score, per-item results, latency and size."""

import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pandas as pd

from lectern.artifacts.model_metadata import read_metadata
from lectern.task_modules import task_module

if TYPE_CHECKING:  # importing Lightning takes seconds, and a rollback does not need it
    from pytorch_lightning import LightningModule


@dataclass(frozen=True)
class Measurement:
    """The measurements of a model on this machine."""

    score: float
    items: pd.DataFrame  # one row per test item
    latency: float  # seconds per small request
    size: float  # bytes of the weights


def measure_model(folder: Path, processed: Path, items: pd.DataFrame | None = None) -> Measurement:
    """Measure a model folder on the test data of `processed`. Known `items` are not computed again."""
    from lectern.artifacts.model_folder import load_model

    task = read_metadata(folder)["task"]
    module, report = load_model(folder), task_module(task, "report.evaluate")
    if items is None:
        items = report.measure(module, processed)
    return Measurement(
        score=report.score(items),
        items=items,
        latency=measure_latency(module, task_module(task, "serving.inference_api"), processed),
        size=float((folder / "weights.safetensors").stat().st_size),
    )


def measure_latency(
    module: "LightningModule",
    inference_api: ModuleType,
    processed: Path,
    repetitions: int = 7,
    max_seconds: float = 1.0,
) -> float:
    """Return the median time in seconds to predict the task's example, after one prediction to warm up.

    Stops early once `max_seconds` are used, so that a slow model is timed only once.
    """
    example = inference_api.example(processed)
    inference_api.predict(module, example)
    times: list[float] = []
    while len(times) < repetitions and sum(times) < max_seconds:
        start = time.perf_counter()
        inference_api.predict(module, example)
        times.append(time.perf_counter() - start)
    return statistics.median(times)
