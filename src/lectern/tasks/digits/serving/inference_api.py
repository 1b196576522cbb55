"""Define the inference API of a registered digits model."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lectern.tasks.digits.data.format.images import IMAGE_SIZE, NUM_CLASSES, validate_images

if TYPE_CHECKING:  # importing MLflow and torch is slow
    from mlflow.models import ModelSignature

    from lectern.tasks.digits.model.module import DigitClassifier


def predict(module: "DigitClassifier", inputs: np.ndarray) -> np.ndarray:
    """Return the probabilities, float32 (n, 10), of uint8 images (n, 28, 28) with bright ink."""
    return module.predict(validate_images(inputs))


def signature() -> "ModelSignature":
    """Return the MLflow signature, which defines the types and shapes of inputs and outputs."""
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    images = TensorSpec(np.dtype(np.uint8), (-1, IMAGE_SIZE, IMAGE_SIZE), name=None)
    probabilities = TensorSpec(np.dtype(np.float32), (-1, NUM_CLASSES), name=None)
    return ModelSignature(inputs=Schema([images]), outputs=Schema([probabilities]))


def example(processed: Path) -> np.ndarray:
    """Return two validation images as an example input."""
    images: np.ndarray = np.load(processed / "validation_images.npy")
    return images[:2]
