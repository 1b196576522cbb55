"""Apply an LSTM to overlapping windows of features, for all windows at once or one frame at a time."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

# hidden state and cell state, each (batch, window, hidden); the oldest window comes first
State = tuple[Tensor, Tensor]


class WindowedLSTM(nn.Module):
    """An LSTM that starts with a zero state for every window and returns an output at every position of the window.

    `step` runs `window` LSTMs in parallel. Each LSTM starts one frame after the previous LSTM. The oldest LSTM has
    processed a full window, so it provides the output and starts again. A frame therefore needs a few small matrix
    products instead of the computation of a full window.
    """

    def __init__(self, features: int, hidden: int, outputs: int, window: int):
        super().__init__()
        self.window = window
        self.lstm = nn.LSTM(features, hidden, batch_first=True)
        self.output = nn.Linear(hidden, outputs)

    def forward(
        self, features: Float[Tensor, "batch length features"]
    ) -> Float[Tensor, "batch windows window outputs"]:
        windows = features.unfold(1, self.window, 1).transpose(2, 3)  # (B, windows, window, features)
        hidden, _ = self.lstm(windows.flatten(0, 1))
        outputs: Tensor = self.output(hidden)
        return outputs.reshape(*windows.shape[:3], outputs.shape[2])

    def step(self, features: Float[Tensor, "batch features"], state: State | None) -> tuple[Tensor, State]:
        """Return the outputs of the window that ends with this frame, and the state for the next frame."""
        state = self.initial_state(features) if state is None else state
        hidden, cell = (part.flatten(0, 1).unsqueeze(0) for part in state)
        inputs = features.repeat_interleave(self.window, 0).unsqueeze(1)
        _, (hidden, cell) = self.lstm(inputs, (hidden, cell))
        hidden, cell = (part[0].unflatten(0, (len(features), self.window)) for part in (hidden, cell))
        return self.output(hidden[:, 0]), (restart_oldest(hidden), restart_oldest(cell))

    def initial_state(self, features: Float[Tensor, "batch features"]) -> State:
        """Return the state before the first frame, as if the first frame had already appeared `window - 1` times."""
        states = [torch.zeros(2, len(features), self.lstm.hidden_size, device=features.device)]
        for _ in range(self.window - 1):
            _, state = self.lstm(features.unsqueeze(1), tuple(states[-1].unsqueeze(1).unbind()))
            states.append(torch.cat(state))
        hidden, cell = torch.stack(states[::-1], 2)
        return hidden, cell


def restart_oldest(states: Float[Tensor, "batch window hidden"]) -> Float[Tensor, "batch window hidden"]:
    """Drop the oldest state and append a zero state for the window that starts with the next frame."""
    return torch.cat([states[:, 1:], torch.zeros_like(states[:, :1])], 1)
