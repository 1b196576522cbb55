"""Translate with a Transformer."""

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from lectern.config import DropoutRate, LayerCount, PositiveInt
from lectern.tasks.translation.data.format.vocabulary import PAD
from lectern.tasks.translation.model.encoder_decoder import EncoderDecoder, State
from lectern.training.byte_dropout import ByteDropout


class MultiHeadAttention(nn.Module):
    """Multi-head attention (Vaswani et al. 2017, arXiv:1706.03762, section 3.2)."""

    def __init__(self, hidden_size: int, heads: int):
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(hidden_size, hidden_size)
        self.key_and_value = nn.Linear(hidden_size, 2 * hidden_size)
        self.out = nn.Linear(hidden_size, hidden_size)

    def split_heads(self, values: Float[Tensor, "batch time hidden"]) -> Float[Tensor, "batch heads time head"]:
        return torch.unflatten(values, 2, (self.heads, -1)).transpose(1, 2)

    def project_memory(self, memory: Float[Tensor, "batch time hidden"]) -> State:
        """Return the keys and values, each of shape (batch, heads, time, head)."""
        keys, values = self.key_and_value(memory).chunk(2, dim=2)
        return {"keys": self.split_heads(keys), "values": self.split_heads(values)}

    def forward(
        self, queries: Float[Tensor, "batch time hidden"], memory: State, mask: Bool[Tensor, "rows 1 #time source"]
    ) -> tuple[Float[Tensor, "batch time hidden"], Float[Tensor, "batch heads time source"]]:
        """Return the attention-weighted mean of the values, and the attention weights.

        Positions where `mask` is True get no attention.
        """
        # For short sentences on a CPU, scaled_dot_product_attention takes twice as long as this code.
        # scaled_dot_product_attention also does not return the attention weights.
        scale = math.sqrt(memory["keys"].shape[3])
        scores = self.split_heads(self.query(queries)) @ memory["keys"].transpose(2, 3) / scale
        weights = scores.masked_fill(mask, -torch.inf).softmax(3)
        return self.out((weights @ memory["values"]).transpose(1, 2).flatten(2)), weights


class EncoderLayer(nn.Module):
    """Self-attention and a feed-forward network, each after a layer norm (Xiong et al. 2020, arXiv:2002.04745)."""

    def __init__(self, hidden_size: int, feed_forward_size: int, heads: int, dropout: float):
        super().__init__()
        self.self_attention_norm = nn.LayerNorm(hidden_size)
        self.self_attention = MultiHeadAttention(hidden_size, heads)
        self.feed_forward_norm = nn.LayerNorm(hidden_size)
        self.feed_forward = build_feed_forward(hidden_size, feed_forward_size, dropout)
        self.dropout = ByteDropout(dropout)

    def forward(
        self, encoded: Float[Tensor, "batch source hidden"], is_padding: Bool[Tensor, "batch 1 1 source"]
    ) -> Float[Tensor, "batch source hidden"]:
        normed = self.self_attention_norm(encoded)
        attended, _ = self.self_attention(normed, self.self_attention.project_memory(normed), is_padding)
        encoded = encoded + self.dropout(attended)
        encoded = encoded + self.dropout(self.feed_forward(self.feed_forward_norm(encoded)))
        return encoded


class DecoderLayer(nn.Module):
    """An encoder layer that also attends to the encoded source."""

    def __init__(self, hidden_size: int, feed_forward_size: int, heads: int, dropout: float):
        super().__init__()
        self.self_attention_norm = nn.LayerNorm(hidden_size)
        self.self_attention = MultiHeadAttention(hidden_size, heads)
        self.cross_attention_norm = nn.LayerNorm(hidden_size)
        self.cross_attention = MultiHeadAttention(hidden_size, heads)
        self.feed_forward_norm = nn.LayerNorm(hidden_size)
        self.feed_forward = build_feed_forward(hidden_size, feed_forward_size, dropout)
        self.dropout = ByteDropout(dropout)

    def forward(
        self,
        decoded: Float[Tensor, "batch target hidden"],
        memory: State,
        is_padding: Bool[Tensor, "batch 1 1 source"],
        past: State,
    ) -> tuple[Float[Tensor, "batch target hidden"], State, Float[Tensor, "batch heads target source"]]:
        """Process the tokens that follow `past`, which contains the keys and values of earlier tokens.

        Returns the new hidden states, the keys and values of all tokens, and the weights of the attention to the
        source.
        """
        normed = self.self_attention_norm(decoded)
        present = self.self_attention.project_memory(normed)
        if past:
            present = {name: torch.cat([past[name], new], 2) for name, new in present.items()}
        attended, _ = self.self_attention(normed, present, causal_mask(decoded.shape[1], present["keys"]))
        decoded = decoded + self.dropout(attended)
        attended, weights = self.cross_attention(self.cross_attention_norm(decoded), memory, is_padding)
        decoded = decoded + self.dropout(attended)
        return decoded + self.dropout(self.feed_forward(self.feed_forward_norm(decoded))), present, weights


def build_feed_forward(hidden_size: int, feed_forward_size: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(hidden_size, feed_forward_size),
        nn.ReLU(),
        ByteDropout(dropout),
        nn.Linear(feed_forward_size, hidden_size),
    )


def causal_mask(count: int, keys: Tensor) -> Bool[Tensor, "1 1 new all"]:
    """Return a mask that is True for the tokens after each of the last `count` tokens."""
    time = torch.arange(keys.shape[2], device=keys.device)
    return (time > time[-count:, None])[None, None]


class Transformer(EncoderDecoder):
    """A Transformer with sinusoidal positions (Vaswani et al. 2017, arXiv:1706.03762)."""

    supports_scheduled_sampling = False  # training computes all target positions in parallel

    def __init__(
        self,
        vocabulary_size: int,
        hidden_size: PositiveInt,
        feed_forward_size: PositiveInt,
        heads: PositiveInt,
        layers: LayerCount,
        dropout: DropoutRate = 0.0,
    ):
        super().__init__(vocabulary_size, hidden_size)
        sizes = (hidden_size, feed_forward_size, heads, dropout)
        self.encoder = nn.ModuleList(EncoderLayer(*sizes) for _ in range(layers))
        self.decoder = nn.ModuleList(DecoderLayer(*sizes) for _ in range(layers))
        self.encoder_norm, self.decoder_norm = nn.LayerNorm(hidden_size), nn.LayerNorm(hidden_size)
        self.dropout = ByteDropout(dropout)

    @property
    def decoder_layers(self) -> list[DecoderLayer]:
        return [layer for layer in self.decoder if isinstance(layer, DecoderLayer)]

    def forward(
        self, source: Int[Tensor, "batch source"], target: Int[Tensor, "batch target"], teacher_forcing: float = 1.0
    ) -> Float[Tensor, "batch target embedding"]:
        return self.decode(*self.start(source), target)[0]

    def attention_weights(
        self, source: Int[Tensor, "batch source"], target: Int[Tensor, "batch target"]
    ) -> Float[Tensor, "batch layers heads target source"]:
        return self.decode(*self.start(source), target)[2]

    def start(self, source: Int[Tensor, "batch source"]) -> tuple[State, State]:
        is_padding = (source == PAD)[:, None, None]
        encoded = self.embed(source, 0)
        for layer in self.encoder:
            encoded = layer(encoded, is_padding)
        encoded = self.encoder_norm(encoded)
        memories = [layer.cross_attention.project_memory(encoded) for layer in self.decoder_layers]
        return {**merge_layers(memories), "is_padding": is_padding}, {}

    def step(self, memory: State, state: State, tokens: Int[Tensor, " rows"]) -> tuple[Tensor, State]:
        features, state, _ = self.decode(memory, state, tokens[:, None])
        return features[:, 0], state

    def decode(self, memory: State, state: State, target: Tensor) -> tuple[Tensor, State, Tensor]:
        """Process the next target tokens. The state contains the keys and values of the earlier target tokens.

        Returns the features, the next state, and the attention weights (batch, layers, heads, target, source).
        """
        decoded = self.embed(target, state["keys_0"].shape[2] if state else 0)
        layer_states, weights = [], []
        for index, layer in enumerate(self.decoder_layers):
            past = select_layer(state, index) if state else {}
            decoded, present, layer_weights = layer(decoded, select_layer(memory, index), memory["is_padding"], past)
            layer_states.append(present)
            weights.append(layer_weights)
        return self.decoder_norm(decoded), merge_layers(layer_states), torch.stack(weights, 1)

    def embed(self, tokens: Int[Tensor, "batch time"], first_position: int) -> Float[Tensor, "batch time hidden"]:
        """Return the embeddings plus sinusoidal positions, counted from `first_position`."""
        size = self.embedding.embedding_dim
        position = torch.arange(first_position, first_position + tokens.shape[1], device=tokens.device)
        rate = torch.exp(torch.arange(0, size, 2, device=tokens.device) * (-math.log(10000.0) / size))
        sinusoids = torch.cat([torch.sin(position[:, None] * rate), torch.cos(position[:, None] * rate)], 1)
        embedded: Tensor = self.dropout(self.embedding(tokens) * math.sqrt(size) + sinusoids)
        return embedded


def merge_layers(layers: list[State]) -> State:
    """Merge the states of all layers into one, with the keys `keys_0`, `values_0`, `keys_1`, ..."""
    return {f"{name}_{index}": value for index, layer in enumerate(layers) for name, value in layer.items()}


def select_layer(state: State, index: int) -> State:
    """Return the keys and values of one layer."""
    return {name: state[f"{name}_{index}"] for name in ("keys", "values")}
