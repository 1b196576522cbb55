"""Networks that look at frames of a drive and say what to do at each.

All take frames (batch, length, 3, height, width), scaled, and give outputs (batch, windows, positions, outputs):
`windows = length - window + 1`, one for each frame that has the `window - 1` frames before it; `positions` are the
last frames of each window that something is said about, the window's own frame last. `step` takes one frame of
each drive and what it returned for the frame before, and says the same as the window that ends there.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lectern.errors import UserError
from lectern.tasks.steering.model.windowed_lstm import WindowedLSTM
from lectern.training.networks import build_network

Frames = Float[Tensor, "batch length 3 height width"]
Outputs = Float[Tensor, "batch windows positions outputs"]
CHANNELS, KERNELS, STRIDES = (24, 36, 48, 64, 64), (5, 5, 5, 3, 3), (2, 2, 2, 1, 1)  # PilotNet's convolutions


def build(network: dict, prepare: dict, outputs: int) -> nn.Module:
    """`{class: PilotNet, ...its arguments}` to a network for frames of the size that `prepare` leaves.

    Raises UserError for a class or an argument that is not there.
    """
    size = {"height": prepare["height"], "width": prepare["width"], "outputs": outputs}
    built = build_network(network, (PilotNet, CNNLSTM, FeaturesLSTM, CNN3D), **size)
    initialise(built)
    return built


def initialise(network: nn.Module) -> None:
    """He et al. 2015 (arXiv:1502.01852) for what is rectified; what is said (`say`) starts at zero: straight on."""
    for name, layer in network.named_modules():
        if isinstance(layer, nn.Conv2d | nn.Conv3d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
            if name.rpartition(".")[2] == "say":
                nn.init.zeros_(layer.weight)


def convolutions() -> nn.Sequential:
    """The five convolutions of PilotNet and what follows each, to (N, 1152) at 66x200."""
    layers: list[nn.Module] = []
    for channels_in, channels, kernel, stride in zip((3, *CHANNELS), CHANNELS, KERNELS, STRIDES, strict=False):
        layers += [nn.Conv2d(channels_in, channels, kernel, stride), nn.ReLU()]
    return nn.Sequential(*layers, nn.Flatten()).to(memory_format=torch.channels_last)


def flat_size(height: int, width: int) -> int:
    """How many numbers the convolutions leave of a frame: 1152 of 66x200. Raises UserError for one too small."""
    given = (height, width)
    for kernel, stride in zip(KERNELS, STRIDES, strict=True):
        height, width = (height - kernel) // stride + 1, (width - kernel) // stride + 1
    if min(height, width) < 1:
        raise UserError(f"Frames of {given} pixels are too small for the five convolutions; 66 x 200 is usual.")
    return CHANNELS[-1] * height * width


class PilotNet(nn.Module):
    """One frame to an angle, 252,219 parameters (Bojarski et al. 2016, arXiv:1604.07316; DeepTesla; MIT 6.S094)."""

    window = 1

    def __init__(self, height: int, width: int, outputs: int, dropout: float = 0.0):
        super().__init__()
        self.see = convolutions()
        self.decide = nn.Sequential(
            nn.Dropout(dropout),
            *(nn.Linear(flat_size(height, width), 100), nn.ReLU()),
            *(nn.Linear(100, 50), nn.ReLU()),
            *(nn.Linear(50, 10), nn.ReLU()),
        )
        self.say = nn.Linear(10, outputs)

    def forward(self, frames: Frames) -> Outputs:
        seen = self.see(frames.flatten(0, 1))  # (B * length, 1152)
        return self.say(self.decide(seen)).unflatten(0, frames.shape[:2]).unsqueeze(2)

    def step(self, frame: Float[Tensor, "batch 3 height width"], state: None) -> tuple[Tensor, None]:
        return self.say(self.decide(self.see(frame))), None


def summary(seen: int, features: int, dropout: float) -> nn.Sequential:
    """What was seen of a frame to a few features, of one size whatever was seen: an LSTM is soon saturated."""
    return nn.Sequential(nn.Dropout(dropout), nn.Linear(seen, features), nn.LayerNorm(features))


class CNNLSTM(nn.Module):
    """Frames through a CNN, once each, and windows of what it saw through an LSTM (Udacity challenge 2, first)."""

    def __init__(
        self, height: int, width: int, outputs: int, window: int = 10, features: int = 64, hidden: int = 64,
        dropout: float = 0.0,
    ):  # fmt: skip
        super().__init__()
        self.window = window
        self.see = convolutions()
        self.sum_up = summary(flat_size(height, width), features, dropout)
        self.recall = WindowedLSTM(features, hidden, outputs, window)

    def forward(self, frames: Frames) -> Outputs:
        seen = self.sum_up(self.see(frames.flatten(0, 1)))
        return self.recall(seen.unflatten(0, frames.shape[:2]))

    def step(self, frame: Float[Tensor, "batch 3 height width"], state: tuple | None) -> tuple[Tensor, tuple]:
        return self.recall.step(self.sum_up(self.see(frame)), state)


class FeaturesLSTM(nn.Module):
    """A CNN that learns from single frames first, and an LSTM over long windows of its features (third place)."""

    def __init__(
        self, height: int, width: int, outputs: int, window: int = 50, features: int = 64, hidden: int = 64,
        dropout: float = 0.0,
    ):  # fmt: skip
        super().__init__()
        self.window = window
        self.glance = PilotNet(height, width, outputs, dropout)  # its convolutions are what is kept
        self.sum_up = summary(flat_size(height, width), features, dropout)
        self.recall = WindowedLSTM(features, hidden, outputs, window)

    def forward(self, frames: Frames) -> Outputs:
        seen = self.glance.see(frames.flatten(0, 1))
        return self.think(seen.unflatten(0, frames.shape[:2]))

    def late_parameters(self) -> list[nn.Parameter]:
        """Those that learn once the CNN has learned."""
        return [*self.sum_up.parameters(), *self.recall.parameters()]

    def think(self, seen: Float[Tensor, "batch length seen"]) -> Outputs:
        """What was seen of frames, computed once and kept, to outputs."""
        return self.recall(self.sum_up(seen))

    def step(self, frame: Float[Tensor, "batch 3 height width"], state: tuple | None) -> tuple[Tensor, tuple]:
        return self.recall.step(self.sum_up(self.glance.see(frame)), state)


class CNN3D(nn.Module):
    """Convolutions over time and space; with `differences` also of each frame from the one before (second place).

    `times` are the kernels' lengths in frames. Nothing is padded in time, so a stretch gives all of its windows at
    once, and `step` keeps the last frames of each layer that its kernel still needs.
    """

    def __init__(
        self, height: int, width: int, outputs: int, times: Sequence[int] = (1, 1, 3, 3, 3),
        differences: bool = True, dropout: float = 0.0,
    ):  # fmt: skip
        super().__init__()
        if len(times) != len(CHANNELS) or min(times) < 1:
            raise UserError(f"module.network, CNN3D: times is {list(times)}; it is {len(CHANNELS)} lengths in frames.")
        self.differences = differences
        self.window = 1 + sum(time - 1 for time in times) + differences
        channels = (6 if differences else 3, *CHANNELS)
        self.see = nn.ModuleList(
            nn.Conv3d(channels[i], channels[i + 1], (times[i], KERNELS[i], KERNELS[i]), (1, STRIDES[i], STRIDES[i]))
            for i in range(len(CHANNELS))
        )
        self.decide = nn.Sequential(nn.Dropout(dropout), nn.Linear(flat_size(height, width), 100), nn.ReLU())
        self.say = nn.Linear(100, outputs)

    def forward(self, frames: Frames) -> Outputs:
        seen = frames.transpose(1, 2)  # (B, 3, length, height, width)
        if self.differences:
            seen = with_differences(seen)
        for layer in self.see:
            seen = layer(seen).relu()
        return self.say(self.decide(seen.transpose(1, 2).flatten(2))).unsqueeze(2)

    def step(self, frame: Float[Tensor, "batch 3 height width"], state: list | None) -> tuple[Tensor, list]:
        """State: the last inputs of each layer, as many as its kernel looks back, and of the frames themselves."""
        seen, state = frame.unsqueeze(2), state or [None] * (1 + len(self.see))
        after = []
        if self.differences:
            seen = look_back(seen, state[0], 1)
            after.append(seen[:, :, 1:])
            seen = with_differences(seen)
        for layer, before in zip(self.see, state[-len(self.see) :], strict=True):
            back = layer.kernel_size[0] - 1
            seen = look_back(seen, before, back)
            after.append(seen[:, :, 1:])
            seen = layer(seen).relu()
        return self.say(self.decide(seen.flatten(1))), after


def with_differences(frames: Float[Tensor, "batch 3 length height width"]) -> Float[Tensor, "batch 6 _ height width"]:
    """Each frame but the first, and beside it how it differs from the one before."""
    return torch.cat([frames[:, :, 1:], frames[:, :, 1:] - frames[:, :, :-1]], 1)


def look_back(
    seen: Float[Tensor, "batch channels 1 height width"], before: Tensor | None, back: int
) -> Float[Tensor, "batch channels _ height width"]:
    """What was seen with the `back` frames before it; before the first frame stands that frame itself."""
    before = seen.expand(-1, -1, back, -1, -1) if before is None else before
    return torch.cat([before, seen], 2)
