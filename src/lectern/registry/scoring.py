"""Measure a model folder on the test data: score, per-item results, size, and a request to time."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from lectern.task_modules import task_module

if TYPE_CHECKING:  # importing Lightning takes seconds, and a rollback does not need it
    from pytorch_lightning import LightningModule


@dataclass(frozen=True)
class Measurement:
    """The measurements of a model on this machine."""

    score: float
    items: pd.DataFrame  # one row per test item
    request: Callable[[], object]  # predicts the task's example


def measure_model(
    module: "LightningModule", task: str, processed: Path, items: pd.DataFrame | None = None
) -> Measurement:
    """Measure a loaded model on the test data of `processed`. Known `items` are not computed again."""
    report, inference_api = task_module(task, "report.evaluate"), task_module(task, "serving.inference_api")
    if items is None:
        items = report.measure(module, processed)
    request = partial(inference_api.predict, module, inference_api.example(processed))
    return Measurement(report.score(items), items, request)


def weights_size(folder: Path) -> float:
    """Return the bytes of the weights of a model folder."""
    return float((folder / "weights.safetensors").stat().st_size)
