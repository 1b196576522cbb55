"""Select the targets that a model predicts, and normalize and denormalize them."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from lectern.artifacts.dataset import Facts
from lectern.config import nearest
from lectern.errors import UserError
from lectern.tasks.steering.data.format.targets import OPTIONAL_TARGETS


class TargetScaling(nn.Module):
    """The outputs of a model and their scale on the training data.

    `weights` maps each target to its weight in the loss. Targets that the recording does not contain are ignored.
    `label` is the angle to learn: `angle` (the recorded angle) or `angle_averaged`. The tensors move to the device of
    the model, but they are not saved with the weights of the model.
    """

    means: Tensor
    deviations: Tensor
    weights: Tensor

    def __init__(self, weights: Mapping[str, float], label: str, facts: Facts):
        super().__init__()
        self.outputs = choose_outputs(weights, facts)
        self.columns = [facts["targets"].index(label if name == "angle" else name) for name in self.outputs]
        names = [facts["targets"][column] for column in self.columns]
        # The mean angle is zero, because a drive and its mirror image are equally likely.
        self.register_constant("means", [0.0 if name.startswith("angle") else facts["mean"][name] for name in names])
        self.register_constant("deviations", [facts["deviation"][name] for name in names])
        self.register_constant("weights", [weights[name] for name in self.outputs])

    def register_constant(self, name: str, values: list[float]) -> None:
        self.register_buffer(name, torch.tensor(values), persistent=False)

    def normalize(self, targets: Tensor, outputs: Tensor, mirrored: Tensor | None = None) -> Tensor:
        """Normalize targets of shape (B, length, targets) and return the result in the shape of `outputs`.

        `outputs` has the shape (B, windows, positions, outputs). The angle changes its sign in mirrored sequences.
        """
        normalized = (targets[..., self.columns] - self.means) / self.deviations
        if mirrored is not None:
            signs = torch.where(mirrored, -1.0, 1.0).view(-1, 1, 1)
            normalized = torch.cat([normalized[..., :1] * signs, normalized[..., 1:]], 2)
        windows = normalized.unfold(1, normalized.shape[1] - outputs.shape[1] + 1, 1)  # (B, windows, outputs, window)
        return windows[..., -outputs.shape[2] :].transpose(2, 3)

    def denormalize(self, outputs: Tensor) -> Tensor:
        """Convert normalized outputs (..., outputs) to the units of the recording."""
        return outputs * self.deviations + self.means

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the weighted sum of the squared errors of all outputs, averaged over frames."""
        return ((outputs - targets).square() * self.weights).sum(-1).mean()


def choose_outputs(weights: Mapping[str, float], facts: Mapping[str, Any]) -> list[str]:
    """Return the names of a model's outputs, the angle first. Raises UserError if a name is not a known target."""
    known = [*(name for name in facts["targets"] if name != "angle_averaged"), *OPTIONAL_TARGETS]
    known = list(dict.fromkeys(known))
    for name in weights:
        if name not in known:
            raise UserError(
                f"module.weights: unknown target {name!r}{nearest(name, known)} The targets are: {', '.join(known)}."
            )
    if "angle" not in weights:
        raise UserError("module.weights: the target 'angle' is missing; every steering model predicts it.")
    return ["angle", *(name for name in weights if name != "angle" and name in facts["targets"])]
