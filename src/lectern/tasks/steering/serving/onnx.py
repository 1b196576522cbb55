"""Define the network that is exported to ONNX for a steering model that uses single frames."""

import torch
from torch import Tensor, nn

from lectern.errors import UserError
from lectern.tasks.steering.model.module import SteeringModel
from lectern.tasks.steering.model.scaling import scale

INPUT_NAME, OUTPUT_NAME = "frames", "values"


class OnnxSteeringModel(nn.Module):
    """A network that converts prepared uint8 frames to outputs in the units of the recording.

    The network includes the scaling of the pixels and of the outputs. Raw frames must be cropped and resized before
    they are passed to the network.
    """

    def __init__(self, module: SteeringModel):
        super().__init__()
        self.network, self.scaling = module.network, module.scaling

    def forward(self, frames: Tensor) -> Tensor:
        """Return outputs (n, outputs) for prepared frames, uint8 (n, height, width, 3).

        The first output is the angle.
        """
        outputs, _ = self.network.step(scale(frames.float().unsqueeze(1))[:, 0], None)
        return self.scaling.denormalize(outputs)


def exportable_network(module: SteeringModel) -> nn.Module:
    """Return the network that is exported to ONNX. Raises UserError if the network uses earlier frames."""
    if module.network.window != 1:
        raise UserError(
            f"The network uses windows of {module.network.window} frames and keeps a state between them. "
            "Only networks that use single frames can be exported to ONNX."
        )
    return OnnxSteeringModel(module)


def example_inputs(module: SteeringModel, rows: int) -> Tensor:
    """Return random prepared frames, to trace the network and to compare the outputs of ONNX and PyTorch."""
    size, generator = module.facts["prepare"], torch.Generator().manual_seed(rows)
    return torch.randint(0, 256, (rows, size["height"], size["width"], 3), dtype=torch.uint8, generator=generator)
