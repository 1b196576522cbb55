"""What a registered digits model answers: uint8 images (n, 28, 28), ink high, to probabilities (n, 10)."""

from pathlib import Path

import numpy as np

from lectern.tasks.digits.data.format.images import SIDE, prepare


def predict(module, inputs: np.ndarray) -> np.ndarray:
    """Raw images to float32 probabilities (n, 10)."""
    return module.predict(prepare(inputs, module.facts))


def signature():
    """The signature that MLflow checks requests against."""
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    images = TensorSpec(np.dtype(np.uint8), (-1, SIDE, SIDE), name=None)
    probabilities = TensorSpec(np.dtype(np.float32), (-1, 10), name=None)
    return ModelSignature(inputs=Schema([images]), outputs=Schema([probabilities]))


def example(processed: Path) -> np.ndarray:
    """Two validation images."""
    return np.load(processed / "validation_images.npy")[:2]
