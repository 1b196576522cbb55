"""Define the networks that predict the steering angle from the frames of a drive.

`forward` accepts scaled frames (batch, length, 3, height, width) and returns outputs (batch, windows, positions,
outputs). A window consists of a frame and the `window - 1` frames before it, so `windows = length - window + 1`. The
network has an output for each of the last `positions` frames of a window. The last position is the newest frame. `step`
accepts one frame of each drive and the state that it returned for the previous frame. `step` returns the same outputs
as `forward` for the window that ends with the accepted frame.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lectern.config import DropoutRate, PositiveInt
from lectern.errors import UserError
from lectern.tasks.steering.model.convolutions import CHANNELS, KERNELS, STRIDES, create_encoder, encoded_size
from lectern.tasks.steering.model.windowed_lstm import WindowedLSTM
from lectern.training.network_factory import build_network

Frame = Float[Tensor, "batch 3 height width"]
Frames = Float[Tensor, "batch length 3 height width"]
Outputs = Float[Tensor, "batch windows positions outputs"]
State = Any  # the state that `step` has returned for the previous frame, or None before the first frame


class SteeringNetwork(nn.Module):
    """The interface that all networks of this module have."""

    window: int  # number of frames on which each output depends

    @abstractmethod
    def step(self, frame: Frame, state: State) -> tuple[Float[Tensor, "batch outputs"], State]:
        """Return the outputs at the next frame of each drive, and the state that the following frame needs."""


def build(network: Mapping[str, Any], prepare: Mapping[str, Any], outputs: int) -> SteeringNetwork:
    """Create the network that a section such as `{class: PilotNet, ...}` describes. `prepare` contains the frame size.

    Raises UserError if the class or an argument is unknown.
    """
    size = {"height": prepare["height"], "width": prepare["width"], "outputs": outputs}
    built = build_network(network, (PilotNet, CNNLSTM, FeaturesLSTM, CNN3D), **size)
    assert isinstance(built, SteeringNetwork)
    initialize(built)
    return built


def initialize(network: nn.Module) -> None:
    """Initialise weights for ReLU (He et al. 2015, arXiv:1502.01852). Initialise the layers named `output` with zeros.

    An untrained network therefore predicts the mean of each target.
    """
    for name, layer in network.named_modules():
        if isinstance(layer, nn.Conv2d | nn.Conv3d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
            if name.rpartition(".")[2] == "output":
                nn.init.zeros_(layer.weight)


def create_projection(encoded: int, features: int, dropout: float) -> nn.Sequential:
    """Create a layer that reduces an encoded frame to a few normalised features.

    Without the normalisation, large inputs saturate the LSTM early in training.
    """
    return nn.Sequential(nn.Dropout(dropout), nn.Linear(encoded, features), nn.LayerNorm(features))


class PilotNet(SteeringNetwork):
    """A CNN that predicts from one frame (Bojarski et al. 2016, arXiv:1604.07316; MIT 6.S094, DeepTesla).

    The network has 252,219 parameters for one output.
    """

    window = 1

    def __init__(self, height: int, width: int, outputs: int, dropout: DropoutRate = 0.0):
        super().__init__()
        self.encoder = create_encoder()
        self.head = nn.Sequential(
            nn.Dropout(dropout),
            *(nn.Linear(encoded_size(height, width), 100), nn.ReLU()),
            *(nn.Linear(100, 50), nn.ReLU()),
            *(nn.Linear(50, 10), nn.ReLU()),
        )
        self.output = nn.Linear(10, outputs)

    def forward(self, frames: Frames) -> Outputs:
        outputs, _ = self.step(frames.flatten(0, 1), None)
        return outputs.reshape(*frames.shape[:2], 1, outputs.shape[1])

    def step(self, frame: Frame, state: State) -> tuple[Tensor, State]:
        return self.output(self.head(self.encoder(frame))), None


class CNNLSTM(SteeringNetwork):
    """A CNN that encodes each frame once, and an LSTM over windows of encoded frames.

    The winner of Udacity's challenge 2 used this idea.
    """

    def __init__(
        self,
        height: int,
        width: int,
        outputs: int,
        window: PositiveInt = 10,
        features: PositiveInt = 64,
        hidden: PositiveInt = 64,
        dropout: DropoutRate = 0.0,
    ):
        super().__init__()
        self.window = window
        self.encoder = create_encoder()
        self.projection = create_projection(encoded_size(height, width), features, dropout)
        self.temporal = WindowedLSTM(features, hidden, outputs, window)

    def forward(self, frames: Frames) -> Outputs:
        features: Tensor = self.projection(self.encoder(frames.flatten(0, 1)))
        outputs: Tensor = self.temporal(features.reshape(*frames.shape[:2], features.shape[1]))
        return outputs

    def step(self, frame: Frame, state: State) -> tuple[Tensor, State]:
        return self.temporal.step(self.projection(self.encoder(frame)), state)


class FeaturesLSTM(SteeringNetwork):
    """A CNN that is trained on single frames, and an LSTM that is then trained on long windows of encoded frames.

    The team in third place of Udacity's challenge 2 used this idea. `frame_model` is the CNN. Only the encoder of the
    CNN is used for the final predictions.
    """

    def __init__(
        self,
        height: int,
        width: int,
        outputs: int,
        window: PositiveInt = 50,
        features: PositiveInt = 64,
        hidden: PositiveInt = 64,
        dropout: DropoutRate = 0.0,
    ):
        super().__init__()
        self.window = window
        self.frame_model = PilotNet(height, width, outputs, dropout)
        self.projection = create_projection(encoded_size(height, width), features, dropout)
        self.temporal = WindowedLSTM(features, hidden, outputs, window)

    def forward(self, frames: Frames) -> Outputs:
        encoded: Tensor = self.frame_model.encoder(frames.flatten(0, 1))
        return self.forward_encoded(encoded.reshape(*frames.shape[:2], encoded.shape[1]))

    def forward_encoded(self, encoded: Float[Tensor, "batch length encoded"]) -> Outputs:
        """Return the outputs for frames that are already encoded."""
        outputs: Tensor = self.temporal(self.projection(encoded))
        return outputs

    def temporal_parameters(self) -> list[nn.Parameter]:
        """Return the parameters that are trained after the CNN."""
        return [*self.projection.parameters(), *self.temporal.parameters()]

    def step(self, frame: Frame, state: State) -> tuple[Tensor, State]:
        return self.temporal.step(self.projection(self.frame_model.encoder(frame)), state)


class CNN3D(SteeringNetwork):
    """A CNN with convolutions over time and space, as used by the team in second place of Udacity's challenge 2.

    `times` contains the lengths of the kernels in frames. If `differences` is true, the difference between each frame
    and the previous frame is added as three channels. The time axis is not padded, so one forward pass over a sequence
    computes the outputs of all its windows.
    """

    def __init__(
        self,
        height: int,
        width: int,
        outputs: int,
        times: Sequence[PositiveInt] = (1, 1, 3, 3, 3),
        differences: bool = True,
        dropout: DropoutRate = 0.0,
    ):
        super().__init__()
        if len(times) != len(CHANNELS) or min(times) < 1:
            raise UserError(
                f"module.network (CNN3D): times is {list(times)}; expected {len(CHANNELS)} kernel lengths of at least "
                "one frame."
            )
        self.differences = differences
        self.window = 1 + sum(time - 1 for time in times) + differences
        channels = (6 if differences else 3, *CHANNELS)
        self.encoder = nn.ModuleList(
            nn.Conv3d(channels[i], channels[i + 1], (times[i], KERNELS[i], KERNELS[i]), (1, STRIDES[i], STRIDES[i]))
            for i in range(len(CHANNELS))
        )
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(encoded_size(height, width), 100), nn.ReLU())
        self.output = nn.Linear(100, outputs)

    def forward(self, frames: Frames) -> Outputs:
        maps = frames.transpose(1, 2)  # (B, 3, length, height, width)
        if self.differences:
            maps = append_differences(maps)
        for layer in self.encoder:
            maps = layer(maps).relu()
        outputs: Tensor = self.output(self.head(maps.transpose(1, 2).flatten(2)))
        return outputs.unsqueeze(2)

    def step(self, frame: Frame, state: State) -> tuple[Tensor, State]:
        """Return the outputs at the next frame of each drive, and the new state.

        For each layer, the state contains the previous inputs that the kernel of the layer still needs. If
        `differences` is true, the first item of the state is the previous frame.
        """
        maps, state = frame.unsqueeze(2), state or [None] * (1 + len(self.encoder))
        new_state = []
        if self.differences:
            maps = prepend_history(maps, state[0], 1)
            new_state.append(maps[:, :, 1:])
            maps = append_differences(maps)
        for layer, history in zip(self.encoder, state[-len(self.encoder) :], strict=True):
            assert isinstance(layer, nn.Conv3d)
            maps = prepend_history(maps, history, layer.kernel_size[0] - 1)
            new_state.append(maps[:, :, 1:])
            maps = layer(maps).relu()
        return self.output(self.head(maps.flatten(1))), new_state


def append_differences(frames: Float[Tensor, "batch 3 length height width"]) -> Float[Tensor, "batch 6 _ height width"]:
    """Add the difference from the previous frame as three channels.

    The first frame has no previous frame, so the result does not contain it.
    """
    return torch.cat([frames[:, :, 1:], frames[:, :, 1:] - frames[:, :, :-1]], 1)


def prepend_history(
    maps: Float[Tensor, "batch channels 1 height width"], history: Tensor | None, length: int
) -> Float[Tensor, "batch channels _ height width"]:
    """Put the `length` previous maps before the newest map.

    If there are no previous maps, the newest map is repeated.
    """
    history = maps.expand(-1, -1, length, -1, -1) if history is None else history
    return torch.cat([history, maps], 2)
