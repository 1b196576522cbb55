"""Networks that read characters and tell at each the logits of the next; what they remember goes in and comes out.

Both kinds are called alike: `logits, state = network(ids, state)`, where `state` is what was read before. Cutting a
text into pieces and handing the state on gives what reading it in one piece gives.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from lectern.errors import UserError
from lectern.tasks.language_model.data.format.alphabet import UNKNOWN
from lectern.training.byte_dropout import ByteDropout

CELLS = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
STEPS = {nn.RNN: torch.rnn_tanh_cell, nn.LSTM: torch.lstm_cell, nn.GRU: torch.gru_cell}


class RecurrentNetwork(nn.Module):
    """Stacked recurrent layers over one-hot characters (TensorFlow without a PhD, part 2: 3 GRU layers of 512).

    `cell` is `rnn` (Elman 1990), `lstm` (Hochreiter and Schmidhuber 1997) or `gru` (Cho et al. 2014,
    arXiv:1406.1078). A layer at a time, since dropout inside cuDNN's stack has a random state that no checkpoint holds.
    """

    def __init__(self, vocabulary: int, cell: str, layers: int, hidden: int, dropout: float = 0.0):
        super().__init__()
        if cell not in CELLS:
            raise UserError(f"There is no cell {cell!r}; module.network.cell is one of {', '.join(CELLS)}.")
        self.vocabulary, self.hidden = vocabulary, hidden
        self.parts = 2 if cell == "lstm" else 1  # an LSTM remembers its output and its cell
        self.layers = nn.ModuleList(CELLS[cell](hidden if layer else vocabulary, hidden) for layer in range(layers))
        self.dropout = ByteDropout(dropout)
        self.readout = nn.Linear(hidden, vocabulary)
        initialise(self)

    def start(self, batch: int) -> Float[Tensor, "batch layers parts hidden"]:
        """The state of having read nothing."""
        return self.readout.weight.new_zeros(batch, len(self.layers), self.parts, self.hidden)

    def forward(
        self, ids: Int[Tensor, "batch time"], state: Float[Tensor, "batch layers parts hidden"]
    ) -> tuple[Float[Tensor, "batch time vocabulary"], Float[Tensor, "batch layers parts hidden"]]:
        values = F.one_hot(ids.T.long(), self.vocabulary).to(self.readout.weight.dtype)  # (time, batch, vocabulary)
        after = []
        for layer, before in zip(self.layers, state.unbind(1), strict=True):
            values, end = advance(layer, values, before)
            values = self.dropout(values)  # (time, batch, hidden)
            after.append(end)
        return self.readout(values).transpose(0, 1), torch.stack(after, 1)


def advance(
    layer: nn.RNNBase, values: Float[Tensor, "time batch _"], before: Float[Tensor, "batch parts hidden"]
) -> tuple[Float[Tensor, "time batch hidden"], Float[Tensor, "batch parts hidden"]]:
    """Run one layer on from its state; PyTorch wants that state as (1, batch, hidden), a pair of them for an LSTM."""
    whole, step = isinstance(layer, nn.LSTM), STEPS[type(layer)]
    if len(values) == 1 and not values.is_cuda:  # writing: oneDNN would pack all weights anew for each character
        parts = before.unbind(1)
        after = step(values[0], parts if whole else parts[0], *layer.parameters())
        after = after if whole else (after,)
        return after[0].unsqueeze(0), torch.stack(after, 1)
    parts = tuple(part.unsqueeze(0).contiguous() for part in before.unbind(1))
    values, after = layer(values, parts if whole else parts[0])
    return values, torch.cat(after if whole else (after,)).transpose(0, 1)


def initialise(network: RecurrentNetwork) -> None:
    """A character moves the state of the first layer by about one, and every layer takes much of what is new: with
    PyTorch's own values three layers see nothing but the frequency of characters for hundreds of steps."""
    for layer in network.layers:
        size = layer.hidden_size
        for recurrence in layer.weight_hh_l0.data.split(size):  # what is resume_state neither fades nor grows at first
            nn.init.orthogonal_(recurrence)  # Saxe et al. 2014, arXiv:1312.6120
        for weight in layer.weight_ih_l0.data.split(size):
            nn.init.xavier_uniform_(weight)
        nn.init.zeros_(layer.bias_ih_l0)
        nn.init.zeros_(layer.bias_hh_l0)
        keep = layer.bias_ih_l0.data[size : 2 * size]  # PyTorch: input, forget, cell, output; reset, update, new
        if isinstance(layer, nn.LSTM):
            keep.fill_(1.0)  # Jozefowicz, Zaremba and Sutskever 2015
        if isinstance(layer, nn.GRU):
            keep.fill_(-1.0)
    nn.init.normal_(network.layers[0].weight_ih_l0)
    nn.init.zeros_(network.layers[0].weight_ih_l0[:, UNKNOWN])  # what is unknown says nothing until it was met
    nn.init.normal_(network.readout.weight, std=network.hidden**-0.5)
    nn.init.zeros_(network.readout.bias)


class TransformerNetwork(nn.Module):
    """A causal Transformer (Vaswani et al. 2017, arXiv:1706.03762) that sees `memory` characters back from each.

    Its state is the keys and values of the last `memory` characters in each layer (Transformer-XL, Dai et al. 2019,
    arXiv:1901.02860), so it is trained on long streams, and writes a character a step, as a recurrent network does.
    """

    def __init__(self, vocabulary: int, layers: int, width: int, heads: int, memory: int, dropout: float = 0.0):
        super().__init__()
        if width % (2 * heads):
            raise UserError(f"width {width} does not split into {heads} heads of an even size.")
        self.memory, self.width = memory, width
        self.embedding = nn.Embedding(vocabulary, width)
        self.blocks = nn.ModuleList(Block(width, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.readout = nn.Linear(width, vocabulary)
        nn.init.normal_(self.embedding.weight, std=0.02)
        nn.init.zeros_(self.readout.bias)
        for block in self.blocks:  # the sum over layers keeps its size (Radford et al. 2019)
            for weight in (block.mix.weight, block.feed[-1].weight):
                nn.init.normal_(weight, std=0.02 / (2 * layers) ** 0.5)

    def start(self, batch: int) -> Float[Tensor, "batch layers 2 memory width"]:
        """The state of having read nothing: keys and values of zero, which say nothing to any query."""
        return self.readout.weight.new_zeros(batch, len(self.blocks), 2, self.memory, self.width)

    def forward(
        self, ids: Int[Tensor, "batch time"], state: Float[Tensor, "batch layers 2 memory width"]
    ) -> tuple[Float[Tensor, "batch time vocabulary"], Float[Tensor, "batch layers 2 memory width"]]:
        values = self.embedding(ids.long())  # (batch, time, width)
        seen = self.window(ids.shape[1], ids.device)
        after = []
        for block, before in zip(self.blocks, state.unbind(1), strict=True):
            values, end = block(values, before, seen)
            after.append(end)
        return self.readout(self.norm(values)), torch.stack(after, 1)

    def window(self, time: int, device: torch.device) -> Tensor:
        """Which of the (memory + time) keys each of the new characters sees: itself and `memory` before it."""
        query = torch.arange(time, device=device).unsqueeze(1)
        key = torch.arange(self.memory + time, device=device)
        return (key >= query) & (key <= query + self.memory)


class Block(nn.Module):
    """Attention to what was read, then two layers on each character alone, each beside a shortcut."""

    def __init__(self, width: int, heads: int, dropout: float):
        super().__init__()
        self.heads = heads
        self.before_attention, self.before_feed = nn.LayerNorm(width), nn.LayerNorm(width)
        self.project = nn.Linear(width, 3 * width)
        self.mix = nn.Linear(width, width)
        self.feed = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.dropout = ByteDropout(dropout)

    def forward(
        self,
        values: Float[Tensor, "batch time width"],
        before: Float[Tensor, "batch 2 memory width"],
        seen: Tensor,
    ) -> tuple[Float[Tensor, "batch time width"], Float[Tensor, "batch 2 memory width"]]:
        query, key, value = self.project(self.before_attention(values)).chunk(3, -1)
        known = torch.cat([before.to(key.dtype), torch.stack([key, value], 1)], 2)  # (batch, 2, memory + time, width)
        values = values + self.dropout(self.mix(self.attend(query, *known.unbind(1), seen)))
        values = values + self.dropout(self.feed(self.before_feed(values)))
        return values, known[:, :, known.shape[2] - before.shape[2] :]

    def attend(self, query: Tensor, key: Tensor, value: Tensor, seen: Tensor) -> Tensor:
        """Each head's weighted mean of values; places count back from the newest, so old keys are turned anew."""
        query, key, value = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (query, key, value))
        places = torch.arange(key.shape[2], device=key.device)
        query, key = rotate(query, places[-query.shape[2] :]), rotate(key, places)
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=seen)
        return mixed.transpose(1, 2).flatten(-2)


def rotate(values: Float[Tensor, "batch heads time size"], places: Int[Tensor, " time"]) -> Tensor:
    """Turn each pair of numbers by an angle that grows with its place, so that a product of query and key depends on
    their distance only (RoPE, Su et al. 2021, arXiv:2104.09864)."""
    half = values.shape[-1] // 2
    speed = 10000.0 ** (-torch.arange(half, device=values.device) / half)
    angles = places.unsqueeze(1) * speed  # (time, half)
    cosine, sine = angles.cos().to(values.dtype), angles.sin().to(values.dtype)
    left, right = values.chunk(2, -1)
    return torch.cat([left * cosine - right * sine, left * sine + right * cosine], -1)
