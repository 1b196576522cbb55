"""Predict with a trained model for separate windows, for all frames of a drive, or frame by frame."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from lectern.tasks.steering.model.module import SteeringModel
from lectern.tasks.steering.model.scaling import scale

CHUNK = 128  # number of frames or windows that are computed together

Predictions = dict[str, np.ndarray]  # maps the name of an output to float32 (n,), in the unit of the recording


@torch.inference_mode()
def predict_windows(model: SteeringModel, windows: np.ndarray) -> Predictions:
    """Return the predictions at the last frame of each prepared window, uint8 (n, time, height, width, 3).

    If a window is longer than the window of the network, only its last frames are used. If a window is shorter than the
    window of the network, the first frame of the window is repeated.
    """
    recent = windows[:, -model.network.window :]
    parts: list[Tensor] = []
    for start in range(0, len(recent), CHUNK):
        state, chunk = None, recent[start : start + CHUNK]
        for time in range(chunk.shape[1]):
            frame = to_scaled_tensor(model, chunk[:, time : time + 1])[:, 0]
            outputs, state = model.network.step(frame, state)
        parts.append(outputs)
    return to_units(model, parts)


@torch.inference_mode()
def predict_drive(model: SteeringModel, frames: np.ndarray) -> Predictions:
    """Return the predictions for all prepared frames, uint8 (n, height, width, 3), of one uninterrupted run.

    The prediction at a frame equals the prediction of `predict_windows` for the window that ends with this frame.
    `predict_drive` is faster, because it encodes each frame only once.
    """
    parts, history = [], model.network.window - 1
    for start in range(0, len(frames), CHUNK):
        rows = np.arange(start - history, min(start + CHUNK, len(frames))).clip(0)
        parts.append(predict_sequences(model, frames[rows][None])[0])
    return to_units(model, parts)


class StreamingPredictor:
    """A predictor for a live camera. The predictor keeps the state of the network between frames.

    The predictions are equal to those of `predict_drive`. Create a new predictor after each break in the recording.
    """

    def __init__(self, model: SteeringModel):
        self.model = model
        self.state: Any = None

    @torch.inference_mode()
    def __call__(self, frame: np.ndarray) -> dict[str, float]:
        """Return the predictions at the next prepared frame, uint8 (height, width, 3)."""
        scaled = to_scaled_tensor(self.model, frame[None, None])[:, 0]
        outputs, self.state = self.model.network.step(scaled, self.state)
        return {name: float(values[0]) for name, values in to_units(self.model, [outputs]).items()}


def predict_sequences(model: SteeringModel, frames: np.ndarray) -> Tensor:
    """Return the normalized outputs at the last frame of each window.

    The sequences have the shape (B, length, height, width, 3), and the result has the shape (B, windows, outputs).
    """
    outputs: Tensor = model.network(to_scaled_tensor(model, frames))
    return outputs[:, :, -1]


def to_scaled_tensor(model: SteeringModel, frames: np.ndarray) -> Tensor:
    return scale(torch.from_numpy(np.ascontiguousarray(frames)).to(model.device))


def to_units(model: SteeringModel, parts: list[Tensor]) -> Predictions:
    """Concatenate normalized outputs and convert them to the units of the recording."""
    outputs = torch.cat([part.float() for part in parts] or [torch.empty(0, len(model.outputs))])
    values = model.scaling.denormalize(outputs).cpu().numpy()
    return dict(zip(model.outputs, values.T, strict=True))
