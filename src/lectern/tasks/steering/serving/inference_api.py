"""What a registered steering model answers: uint8 windows of raw frames to what to do at the last frame of each."""

from pathlib import Path

import numpy as np
import pandas as pd

from lectern.errors import UserError
from lectern.tasks.steering.data.format.frames import prepare

REQUIRED = ("pillow",)  # crops and resizes the frames


def predict(module, inputs: np.ndarray) -> pd.DataFrame:
    """Frames (n, time, height, width, 3) in RGB to columns `angle` and, where learned, `speed` and so on; n rows."""
    inputs = np.asarray(inputs)
    if inputs.ndim != 5 or 0 in inputs.shape[1:]:
        raise UserError(f"Frames must be uint8 of shape (n, time, height, width, 3); got shape {inputs.shape}.")
    recent = inputs[:, -module.network.window :]  # what it cannot see need not be resized
    return pd.DataFrame(module.predict(prepare(recent, module.facts)))


def signature():
    """The signature that MLflow checks requests against: frames of any size, any number of them a window."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema, TensorSpec

    frames = TensorSpec(np.dtype(np.uint8), (-1, -1, -1, -1, 3), name=None)
    others = [ColSpec("float", name, required=False) for name in ("speed", "throttle", "brake", "torque")]
    return ModelSignature(inputs=Schema([frames]), outputs=Schema([ColSpec("float", "angle"), *others]))


def example(processed: Path) -> np.ndarray:
    """One window of two validation frames."""
    return np.load(processed / "example.npy")
