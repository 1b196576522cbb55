"""Features of frames to what an LSTM says over windows of them, all together or one frame after the other."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class WindowedLSTM(nn.Module):
    """An LSTM over windows of features, to outputs at every frame of each: many to many, and causal.

    `step` keeps `window` LSTMs going, each begun a frame after the other: the oldest has seen its whole window and
    speaks, then begins anew. That costs a few small products a frame instead of a window.
    """

    def __init__(self, features: int, hidden: int, outputs: int, window: int):
        super().__init__()
        self.window = window
        self.lstm = nn.LSTM(features, hidden, batch_first=True)
        self.say = nn.Linear(hidden, outputs)

    def forward(
        self, features: Float[Tensor, "batch length features"]
    ) -> Float[Tensor, "batch windows window outputs"]:
        windows = features.unfold(1, self.window, 1).transpose(2, 3)  # (B, windows, window, features)
        remembered, _ = self.lstm(windows.flatten(0, 1))
        return self.say(remembered).unflatten(0, windows.shape[:2])

    def step(self, features: Float[Tensor, "batch features"], state: tuple | None) -> tuple[Tensor, tuple]:
        """State: of hidden and cell, each (B, window, hidden), the oldest first."""
        state = self.stand_still(features) if state is None else state
        hidden, cell = (part.flatten(0, 1).unsqueeze(0) for part in state)
        inputs = features.repeat_interleave(self.window, 0).unsqueeze(1)
        _, after = self.lstm(inputs, (hidden, cell))
        hidden, cell = (part[0].unflatten(0, (len(features), self.window)) for part in after)
        return self.say(hidden[:, 0]), tuple(begin_anew(part) for part in (hidden, cell))

    def stand_still(self, features: Float[Tensor, "batch features"]) -> tuple[Tensor, Tensor]:
        """The state before the first frame: the window that ends with it has seen it `window - 1` times already."""
        states = [torch.zeros(2, len(features), self.lstm.hidden_size, device=features.device)]
        for _ in range(self.window - 1):
            _, after = self.lstm(features.unsqueeze(1), tuple(states[-1].unsqueeze(1).unbind()))
            states.append(torch.cat(after))
        hidden, cell = torch.stack(states[::-1], 2)
        return hidden, cell


def begin_anew(states: Float[Tensor, "batch window hidden"]) -> Float[Tensor, "batch window hidden"]:
    """The oldest state dropped, and an empty one put behind the youngest."""
    return torch.cat([states[:, 1:], torch.zeros_like(states[:, :1])], 1)
