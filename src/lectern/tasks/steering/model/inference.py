"""Prepared frames to what a trained module would do at each: all of a drive together, or one after the other."""

import numpy as np
import torch
from torch import Tensor

from lectern.tasks.steering.model.scaling import scale

CHUNK = 128  # frames that are looked at together

Values = dict[str, np.ndarray]


@torch.inference_mode()
def look(module, windows: np.ndarray) -> Values:
    """Windows uint8 (n, time, height, width, 3) to what to do at the last frame of each, name to float32 (n,).

    Of longer windows the last frames count; before a shorter one stands its first frame.
    """
    recent = windows[:, -module.network.window :]
    parts = []
    for start in range(0, len(recent), CHUNK):
        state, some = None, recent[start : start + CHUNK]
        for time in range(some.shape[1]):
            outputs, state = module.network.step(scale_array(module, some[:, time : time + 1])[:, 0], state)
        parts.append(outputs)
    return decode(module, parts)


@torch.inference_mode()
def follow(module, frames: np.ndarray) -> Values:
    """All frames of a run, uint8 (n, height, width, 3), to what to do at each, name to float32 (n,).

    The same as `look` at the window that ends with each frame, but every frame passes the CNN once.
    """
    parts, before = [], module.network.window - 1
    for start in range(0, len(frames), CHUNK):
        rows = np.arange(start - before, min(start + CHUNK, len(frames))).clip(0)
        parts.append(run(module, frames[rows][None])[0])
    return decode(module, parts)


class Stream:
    """One frame after the other, as a camera gives them: the network's memory is kept from frame to frame.

    Gives the same numbers as `follow`. A break begins with a new stream.
    """

    def __init__(self, module):
        self.module, self.state = module, None

    @torch.inference_mode()
    def __call__(self, frame: np.ndarray) -> dict[str, float]:
        """A prepared frame, uint8 (height, width, 3), to what to do now."""
        scaled = scale_array(self.module, frame[None, None])[:, 0]
        outputs, self.state = self.module.network.step(scaled, self.state)
        return {name: float(value[0]) for name, value in decode(self.module, [outputs]).items()}


def run(module, frames: np.ndarray) -> Tensor:
    """Stretches (B, length, height, width, 3) to the outputs at the last frame of each window (B, windows, outputs)."""
    return module.network(scale_array(module, frames))[:, :, -1]


def scale_array(module, frames: np.ndarray) -> Tensor:
    return scale(torch.from_numpy(np.ascontiguousarray(frames)).to(module.device))


def decode(module, parts: list[Tensor]) -> Values:
    """Outputs in deviations to values in their own units."""
    outputs = torch.cat([part.float() for part in parts] or [torch.empty(0, len(module.outputs))])
    values = (outputs * module.deviations + module.means).cpu().numpy()
    return dict(zip(module.outputs, values.T, strict=True))
