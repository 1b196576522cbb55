"""Measure the score of a model, its results per test item, and the size of its weights."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from lectern.task_modules import task_module

if TYPE_CHECKING:  # importing Lightning takes seconds, and a rollback does not need Lightning
    from pytorch_lightning import LightningModule


@dataclass(frozen=True)
class Measurement:
    """The score of a model, its result for each test item, and the request with which its latency is measured."""

    score: float
    items: pd.DataFrame  # one row per test item
    request: Callable[[], object]  # predicts the task's example


def measure_model(
    module: "LightningModule", task: str, processed: Path, items: pd.DataFrame | None = None
) -> Measurement:
    """Score a loaded model on the test data of the dataset `processed`.

    If the results per test item are given as `items`, the predictions are not computed again.
    """
    report, inference_api = task_module(task, "report.evaluate"), task_module(task, "serving.inference_api")
    if items is None:
        items = report.measure(module, processed)
    request = partial(inference_api.predict, module, inference_api.example(processed))
    return Measurement(report.score(items), items, request)


def weights_size(folder: Path) -> float:
    """Return the size of the weights file of a model folder in bytes."""
    return float((folder / "weights.safetensors").stat().st_size)
