"""Define networks that read characters and predict the next character.

All networks are called as `logits, state = network(ids, state)`. The state summarises the text before the ids. A
network can read a text in pieces. If the state after each piece is passed to the call for the next piece, the logits
are equal to those for the complete text.
"""

from collections.abc import Callable
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from lectern.config import DropoutRate, LayerCount, PositiveInt
from lectern.errors import UserError
from lectern.tasks.language_model.data.format.alphabet import UNKNOWN_ID
from lectern.training.byte_dropout import ByteDropout

Cell = Literal["rnn", "lstm", "gru"]
LAYER_CLASSES: dict[str, type[nn.RNN | nn.LSTM | nn.GRU]] = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
STEP_FUNCTIONS: dict[type[nn.RNNBase], Callable[..., Any]] = {
    nn.RNN: torch.rnn_tanh_cell,
    nn.LSTM: torch.lstm_cell,
    nn.GRU: torch.gru_cell,
}


class CharacterNetwork(nn.Module):
    """Base class of the networks that predict the next character."""

    def initial_state(self, batch: int) -> Tensor:
        """Return the state before the first character."""
        raise NotImplementedError

    def forward(self, ids: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits for the character that follows each id (batch, time), and the state after the last id."""
        raise NotImplementedError


class RecurrentNetwork(CharacterNetwork):
    """Stacked recurrent layers on one-hot characters, as in TensorFlow without a PhD, part 2.

    `cell` is `rnn` (Elman 1990), `lstm` (Hochreiter and Schmidhuber 1997) or `gru` (Cho et al. 2014, arXiv:1406.1078).
    The layers are separate modules, because cuDNN's dropout between stacked layers has a random state that is not part
    of a checkpoint.
    """

    def __init__(
        self, vocabulary: int, cell: Cell, layers: LayerCount, hidden: PositiveInt, dropout: DropoutRate = 0.0
    ):
        super().__init__()
        self.vocabulary, self.hidden = vocabulary, hidden
        # The state of an LSTM layer consists of an output tensor and a cell tensor.
        self.parts = 2 if cell == "lstm" else 1
        layer_class = LAYER_CLASSES[cell]
        self.layers = nn.ModuleList(layer_class(hidden if layer else vocabulary, hidden) for layer in range(layers))
        self.dropout = ByteDropout(dropout)
        self.output = nn.Linear(hidden, vocabulary)
        initialize_weights(self)

    def initial_state(self, batch: int) -> Float[Tensor, "batch layers parts hidden"]:
        return self.output.weight.new_zeros(batch, len(self.layers), self.parts, self.hidden)

    def forward(
        self, ids: Int[Tensor, "batch time"], state: Float[Tensor, "batch layers parts hidden"]
    ) -> tuple[Float[Tensor, "batch time vocabulary"], Float[Tensor, "batch layers parts hidden"]]:
        values = F.one_hot(ids.T.long(), self.vocabulary).to(self.output.weight.dtype)  # (time, batch, vocabulary)
        new_state = []
        for layer, layer_state in zip(self.layers, state.unbind(1), strict=True):
            values, new_layer_state = run_layer(layer, values, layer_state)
            values = self.dropout(values)  # (time, batch, hidden)
            new_state.append(new_layer_state)
        return self.output(values).transpose(0, 1), torch.stack(new_state, 1)


def run_layer(
    layer: nn.Module, inputs: Float[Tensor, "time batch _"], state: Float[Tensor, "batch parts hidden"]
) -> tuple[Float[Tensor, "time batch hidden"], Float[Tensor, "batch parts hidden"]]:
    """Run one recurrent layer over a sequence.

    Return the outputs of the layer at all positions, and the state after the last position.

    PyTorch expects a state of shape (1, batch, hidden), or a pair of such states for an LSTM.
    """
    assert isinstance(layer, nn.RNNBase)
    is_lstm, parts = isinstance(layer, nn.LSTM), state.unbind(1)
    # For a single character, a step function is faster, because oneDNN repacks all weights in each call.
    if len(inputs) == 1 and not inputs.is_cuda:
        step = STEP_FUNCTIONS[type(layer)]
        last = step(inputs[0], parts if is_lstm else parts[0], *layer.parameters())
        last = last if is_lstm else (last,)
        return last[0].unsqueeze(0), torch.stack(last, 1)
    parts = tuple(part.unsqueeze(0).contiguous() for part in parts)
    outputs, last = layer(inputs, parts if is_lstm else parts[0])
    return outputs, torch.cat(last if is_lstm else (last,)).transpose(0, 1)


def initialize_weights(network: RecurrentNetwork) -> None:
    """Initialise a recurrent network so that the loss falls from the first training steps.

    The input weights of the first layer have a standard deviation of 1, so that each character clearly changes the
    state. Before training, the update gate of a GRU mostly selects new values, and the forget gate of an LSTM mostly
    keeps the cell state. With PyTorch's default initialisation, three layers learn only the frequencies of characters
    for hundreds of steps.
    """
    for layer in network.layers:
        assert isinstance(layer, nn.RNNBase)
        initialize_layer(layer)
    first_weights = network.layers[0].get_parameter("weight_ih_l0")
    nn.init.normal_(first_weights)
    nn.init.zeros_(first_weights[:, UNKNOWN_ID])  # An unknown character has no effect unless it occurs in training.
    nn.init.normal_(network.output.weight, std=network.hidden**-0.5)
    nn.init.zeros_(network.output.bias)


def initialize_layer(layer: nn.RNNBase) -> None:
    """Initialise one layer with orthogonal recurrent weights.

    At the start of the training, orthogonal weights keep the size of the state constant.
    """
    size = layer.hidden_size
    for weight in torch.split(layer.get_parameter("weight_hh_l0").data, size):
        nn.init.orthogonal_(weight)  # orthogonal initialisation as in Saxe et al. 2014, arXiv:1312.6120
    for weight in torch.split(layer.get_parameter("weight_ih_l0").data, size):
        nn.init.xavier_uniform_(weight)
    bias = layer.get_parameter("bias_ih_l0")
    nn.init.zeros_(bias)
    nn.init.zeros_(layer.get_parameter("bias_hh_l0"))
    # PyTorch orders the gates as input, forget, cell, output (LSTM) and reset, update, new (GRU).
    second_gate = bias.data[size : 2 * size]
    if isinstance(layer, nn.LSTM):
        second_gate.fill_(1.0)  # bias of 1 as in Jozefowicz, Zaremba and Sutskever 2015
    if isinstance(layer, nn.GRU):
        second_gate.fill_(-1.0)


class TransformerNetwork(CharacterNetwork):
    """A causal Transformer (Vaswani et al. 2017, arXiv:1706.03762) that attends to the last `memory` characters.

    The state contains the keys and values of the last `memory` characters in each layer (Transformer-XL, Dai et al.
    2019, arXiv:1901.02860). Like a recurrent network, the Transformer can therefore be trained on long streams and
    generate one character per step.
    """

    def __init__(
        self,
        vocabulary: int,
        layers: LayerCount,
        width: PositiveInt,
        heads: PositiveInt,
        memory: PositiveInt,
        dropout: DropoutRate = 0.0,
    ):
        super().__init__()
        if width % (2 * heads):
            raise UserError(f"module.network.width is {width}; it must be a multiple of {2 * heads} (2 x heads).")
        self.memory, self.width = memory, width
        self.embedding = nn.Embedding(vocabulary, width)
        self.blocks = nn.ModuleList(TransformerBlock(width, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.output = nn.Linear(width, vocabulary)
        nn.init.normal_(self.embedding.weight, std=0.02)
        nn.init.zeros_(self.output.bias)
        # Smaller weights keep the variance of the sum over all layers constant (Radford et al. 2019).
        for block in self.blocks:
            assert isinstance(block, TransformerBlock)
            for layer in (block.attention_output, block.feed_forward[-1]):
                nn.init.normal_(layer.get_parameter("weight"), std=0.02 / (2 * layers) ** 0.5)

    def initial_state(self, batch: int) -> Float[Tensor, "batch layers 2 memory width"]:
        """Return keys and values that are zero. Keys and values of zero add nothing to the output of the attention."""
        return self.output.weight.new_zeros(batch, len(self.blocks), 2, self.memory, self.width)

    def forward(
        self, ids: Int[Tensor, "batch time"], state: Float[Tensor, "batch layers 2 memory width"]
    ) -> tuple[Float[Tensor, "batch time vocabulary"], Float[Tensor, "batch layers 2 memory width"]]:
        values = self.embedding(ids.long())  # (batch, time, width)
        mask = self.attention_mask(ids.shape[1], ids.device)
        new_state = []
        for block, block_state in zip(self.blocks, state.unbind(1), strict=True):
            values, new_block_state = block(values, block_state, mask)
            new_state.append(new_block_state)
        return self.output(self.norm(values)), torch.stack(new_state, 1)

    def attention_mask(self, time: int, device: torch.device) -> Bool[Tensor, "time keys"]:
        """Return the attention mask. The number of keys is `memory + time`.

        Each new character attends to itself and to the `memory` characters before it.
        """
        query = torch.arange(time, device=device).unsqueeze(1)
        key = torch.arange(self.memory + time, device=device)
        return (key >= query) & (key <= query + self.memory)


class TransformerBlock(nn.Module):
    """A block with attention and a feed-forward network.

    The attention and the feed-forward network each have a residual connection and follow a normalisation.
    """

    def __init__(self, width: int, heads: int, dropout: float):
        super().__init__()
        self.heads = heads
        self.attention_norm, self.feed_forward_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.attention_output = nn.Linear(width, width)
        self.feed_forward = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.dropout = ByteDropout(dropout)

    def forward(
        self,
        values: Float[Tensor, "batch time width"],
        state: Float[Tensor, "batch 2 memory width"],
        mask: Bool[Tensor, "time keys"],
    ) -> tuple[Float[Tensor, "batch time width"], Float[Tensor, "batch 2 memory width"]]:
        query, key, value = self.query_key_value(self.attention_norm(values)).chunk(3, -1)
        keys_values = torch.cat([state.to(key.dtype), torch.stack([key, value], 1)], 2)  # (batch, 2, keys, width)
        attended = self.attend(query, keys_values[:, 0], keys_values[:, 1], mask)
        values = values + self.dropout(self.attention_output(attended))
        values = values + self.dropout(self.feed_forward(self.feed_forward_norm(values)))
        return values, keys_values[:, :, keys_values.shape[2] - state.shape[2] :]

    def attend(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
        """Return the attention-weighted mean of the values.

        Positions are counted from the start of the state, so the stored keys are rotated again for each batch.
        """
        query, key, value = (torch.unflatten(x, -1, (self.heads, -1)).transpose(1, 2) for x in (query, key, value))
        positions = torch.arange(key.shape[2], device=key.device)
        query = apply_rotary_embedding(query, positions[-query.shape[2] :])
        key = apply_rotary_embedding(key, positions)
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return attended.transpose(1, 2).flatten(-2)


def apply_rotary_embedding(
    values: Float[Tensor, "batch heads time size"], positions: Int[Tensor, " time"]
) -> Float[Tensor, "batch heads time size"]:
    """Rotate pairs of numbers by angles that increase with the position (RoPE, Su et al. 2021, arXiv:2104.09864).

    The product of a query and a key then depends only on their distance.
    """
    half = values.shape[-1] // 2
    frequencies = 10000.0 ** (-torch.arange(half, device=values.device) / half)
    angles = positions.unsqueeze(1) * frequencies  # (time, half)
    cosine, sine = angles.cos().to(values.dtype), angles.sin().to(values.dtype)
    left, right = values.chunk(2, -1)
    return torch.cat([left * cosine - right * sine, left * sine + right * cosine], -1)
