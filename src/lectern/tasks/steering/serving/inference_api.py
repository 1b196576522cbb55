"""Define the inference API of a registered steering model."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from lectern.errors import UserError
from lectern.tasks.steering.data.format.frames import prepare
from lectern.tasks.steering.data.format.targets import OPTIONAL_TARGETS

if TYPE_CHECKING:  # importing MLflow and torch is slow
    from mlflow.models import ModelSignature

    from lectern.tasks.steering.model.module import SteeringModel

REQUIRED = ("pillow",)  # Pillow crops and resizes the frames


def predict(module: "SteeringModel", inputs: np.ndarray) -> pd.DataFrame:
    """Return the predictions at the last frame of each window of raw RGB frames, uint8 (n, time, height, width, 3).

    The result has n rows, with the column `angle` and one column for each additional target, such as `speed`.
    """
    inputs = np.asarray(inputs)
    if inputs.ndim != 5 or 0 in inputs.shape[1:]:
        raise UserError(f"Frames must be uint8 of shape (n, time, height, width, 3); got shape {inputs.shape}.")
    recent = inputs[:, -module.network.window :]  # the last frames, which the network uses
    return pd.DataFrame(module.predict(prepare(recent, module.facts)))


def signature() -> "ModelSignature":
    """Return the MLflow signature, which defines the types and shapes of inputs and outputs.

    The signature accepts windows of any length and frames of any size.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema, TensorSpec

    frames = TensorSpec(np.dtype(np.uint8), (-1, -1, -1, -1, 3), name=None)
    others = [ColSpec("float", name, required=False) for name in OPTIONAL_TARGETS]
    return ModelSignature(inputs=Schema([frames]), outputs=Schema([ColSpec("float", "angle"), *others]))


def example(processed: Path) -> np.ndarray:
    """Return one window of two validation frames as an example input."""
    window: np.ndarray = np.load(processed / "example.npy")
    return window
