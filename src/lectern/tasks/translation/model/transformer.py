"""A network that reads all words at once and writes by attention alone."""

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from lectern.tasks.translation.data.format.vocabulary import PAD
from lectern.tasks.translation.model.decoder import State, TiedEmbeddingDecoder
from lectern.training.byte_dropout import ByteDropout


class MultiHeadAttention(nn.Module):
    """Vaswani et al. 2017 (arXiv:1706.03762), section 3.2."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key_and_value = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)

    def split(self, whole: Float[Tensor, "batch time width"]) -> Float[Tensor, "batch heads time part"]:
        return whole.unflatten(2, (self.heads, -1)).transpose(1, 2)

    def read(self, memory: Float[Tensor, "batch source width"]) -> State:
        """Keys and values, each (batch, heads, source, part)."""
        keys, values = self.key_and_value(memory).chunk(2, dim=2)
        return {"keys": self.split(keys), "values": self.split(values)}

    def forward(
        self, asking: Float[Tensor, "batch time width"], memory: State, masked: Bool[Tensor, "rows 1 #time source"]
    ) -> tuple[Float[Tensor, "batch time width"], Float[Tensor, "batch heads time source"]]:
        """What was found, and how much it looked where; nowhere that is `masked`."""
        # written out: on a CPU twice as fast for sentences as scaled_dot_product_attention, and it shows its weights
        scores = self.split(self.query(asking)) @ memory["keys"].transpose(2, 3) / math.sqrt(memory["keys"].shape[3])
        weights = scores.masked_fill(masked, -torch.inf).softmax(3)
        return self.out((weights @ memory["values"]).transpose(1, 2).flatten(2)), weights


class Layer(nn.Module):
    """A layer of either side, each part normalised before it (Xiong et al. 2020, arXiv:2002.04745).

    With `looks_back` it is the decoder's, which also attends to what was read.
    """

    def __init__(self, width: int, inner: int, heads: int, dropout: float, looks_back: bool):
        super().__init__()
        self.self_norm, self.self_attention = nn.LayerNorm(width), MultiHeadAttention(width, heads)
        if looks_back:
            self.cross_norm, self.cross_attention = nn.LayerNorm(width), MultiHeadAttention(width, heads)
        self.feed_norm = nn.LayerNorm(width)
        self.feed_forward = nn.Sequential(
            nn.Linear(width, inner), nn.ReLU(), ByteDropout(dropout), nn.Linear(inner, width)
        )
        self.dropout = ByteDropout(dropout)

    def encode(self, read: Tensor, is_padding: Tensor) -> Tensor:
        """Each word (B, S, width) with what it found among the others."""
        normed = self.self_norm(read)
        read = read + self.dropout(self.self_attention(normed, self.self_attention.read(normed), is_padding)[0])
        return read + self.dropout(self.feed_forward(self.feed_norm(read)))

    def decode(self, written: Tensor, memory: State, is_padding: Tensor, past: State) -> tuple[Tensor, State, Tensor]:
        """Words written after `past` (B, T, width); returns them, the past with them, and where they looked."""
        normed = self.self_norm(written)
        own = self.self_attention.read(normed)
        past = {name: torch.cat([past[name], new], 2) for name, new in own.items()} if past else own
        written = written + self.dropout(self.self_attention(normed, past, is_later(written.shape[1], past["keys"]))[0])
        found, looks = self.cross_attention(self.cross_norm(written), memory, is_padding)
        written = written + self.dropout(found)
        return written + self.dropout(self.feed_forward(self.feed_norm(written))), past, looks


def is_later(count: int, keys: Tensor) -> Bool[Tensor, "1 1 new all"]:
    """For each of the last `count` of these words, which come after it."""
    time = torch.arange(keys.shape[2], device=keys.device)
    return (time > time[-count:, None])[None, None]


class Transformer(TiedEmbeddingDecoder):
    """Attention alone on both sides (Vaswani et al. 2017, arXiv:1706.03762), with sines for positions."""

    feeds_itself = False  # all words are written at once in training: its own are not there to be fed

    def __init__(self, vocabulary: int, width: int, inner: int, heads: int, layers: int, dropout: float = 0.0):
        super().__init__(vocabulary, width)
        self.encoder = nn.ModuleList(Layer(width, inner, heads, dropout, looks_back=False) for _ in range(layers))
        self.decoder = nn.ModuleList(Layer(width, inner, heads, dropout, looks_back=True) for _ in range(layers))
        self.read_norm, self.written_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.dropout = ByteDropout(dropout)

    def forward(
        self, source: Int[Tensor, "batch source"], words: Int[Tensor, "batch target"], teacher_forcing: float = 1.0
    ) -> Float[Tensor, "batch target width"]:
        return self.write(*self.start(source), words)[0]

    def attention(
        self, source: Int[Tensor, "batch source"], words: Int[Tensor, "batch target"]
    ) -> Float[Tensor, "batch target source"]:
        """Where the decoder looked, the mean over layers and heads."""
        return self.write(*self.start(source), words)[2].mean((1, 2))

    def start(self, source: Int[Tensor, "batch source"]) -> tuple[State, State]:
        """What each decoder layer will look at, and the state before the first word, in which nothing is yet."""
        is_padding = (source == PAD)[:, None, None]
        read = self.place(source, 0)
        for layer in self.encoder:
            read = layer.encode(read, is_padding)
        read = self.read_norm(read)
        return {**number([layer.cross_attention.read(read) for layer in self.decoder]), "is_padding": is_padding}, {}

    def step(self, memory: State, state: State, words: Int[Tensor, " rows"]) -> tuple[Tensor, State]:
        """Features (rows, width) of the next word after `words`; the state keeps keys and values of all before."""
        features, state, _ = self.write(memory, state, words[:, None])
        return features[:, 0], state

    def write(self, memory: State, state: State, words: Tensor) -> tuple[Tensor, State, Tensor]:
        """Features (B, T, width) of words that follow the state, the state with them, where each layer looked."""
        written = self.place(words, state["keys_0"].shape[2] if state else 0)
        pasts, looks = [], []
        for index, layer in enumerate(self.decoder):
            past = of_layer(state, index) if state else {}
            written, past, look = layer.decode(written, of_layer(memory, index), memory["is_padding"], past)
            pasts.append(past)
            looks.append(look)
        return self.written_norm(written), number(pasts), torch.stack(looks, 1)

    def place(self, words: Int[Tensor, "batch time"], first: int) -> Float[Tensor, "batch time width"]:
        """Embeddings with the sines of where they stand, from position `first` on."""
        width = self.embedding.embedding_dim
        position = torch.arange(first, first + words.shape[1], device=words.device)
        rate = torch.exp(torch.arange(0, width, 2, device=words.device) * (-math.log(10000.0) / width))
        sines = torch.cat([torch.sin(position[:, None] * rate), torch.cos(position[:, None] * rate)], 1)
        return self.dropout(self.embedding(words) * math.sqrt(width) + sines)


def number(layers: list[State]) -> State:
    """The states of several layers as one: `keys_0`, `values_0`, `keys_1`, ..."""
    return {f"{name}_{index}": value for index, layer in enumerate(layers) for name, value in layer.items()}


def of_layer(state: State, index: int) -> State:
    """One layer's keys and values."""
    return {name: state[f"{name}_{index}"] for name in ("keys", "values")}
