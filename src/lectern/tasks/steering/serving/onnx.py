"""A network that steers by one frame to what ONNX can hold: prepared uint8 frames in, values in their own units out."""

import torch
from torch import Tensor, nn

from lectern.errors import UserError
from lectern.tasks.steering.model.scaling import scale

INPUT, OUTPUT = "frames", "values"


class Exported(nn.Module):
    """Scaling in and out is part of it: who runs it cannot forget it. Cropping and resizing is not: see the facts."""

    def __init__(self, module):
        super().__init__()
        self.network, self.means, self.deviations = module.network, module.means, module.deviations

    def forward(self, frames: Tensor) -> Tensor:
        """uint8 (n, height, width, 3), as `prepare` leaves them, to (n, outputs), the angle first."""
        outputs, _ = self.network.step(scale(frames.float().unsqueeze(1))[:, 0], None)
        return outputs * self.deviations + self.means


def exportable(module) -> nn.Module:
    """Raises UserError for a network that remembers earlier frames."""
    if module.network.window != 1:
        raise UserError(
            f"This network looks at {module.network.window} frames and remembers between them; only those that steer "
            "by one frame are exported to ONNX."
        )
    return Exported(module)


def example(module, rows: int) -> Tensor:
    """Frames to trace and to compare with."""
    size, random = module.facts["prepare"], torch.Generator().manual_seed(rows)
    return torch.randint(0, 256, (rows, size["height"], size["width"], 3), dtype=torch.uint8, generator=random)
