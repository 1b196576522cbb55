"""Networks that read a sentence and write another: with one vector between, with attention, without recurrence.

All three offer the same: `forward(source, words, teacher_forcing)` gives the features from which each next word is
told; `start(source)` and `step(memory, state, words)` give the same a word at a time, from a state that holds what
has been computed; `attention(source, words)` says where the decoder looked. `logits` turns features into words.
"""

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from lectern.translation.vocabulary import PAD

State = dict[str, Tensor]  # rows first, so that a search can pick and reorder sentences


class Decoding(nn.Module):
    """What the networks share: one embedding for source, target and output (Press and Wolf 2017, arXiv:1608.05859)."""

    def __init__(self, vocabulary: int, width: int):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        nn.init.normal_(self.embedding.weight, std=width**-0.5)

    def logits(self, features: Float[Tensor, "*rows width"]) -> Float[Tensor, "*rows vocabulary"]:
        return F.linear(features, self.embedding.weight)


# ---- recurrent ----


class Encoder(nn.Module):
    """A GRU that reads forth and one that reads back, from the last word and not from the padding after it."""

    def __init__(self, embedded: int, width: int):
        super().__init__()
        self.forth = nn.GRU(embedded, width // 2, batch_first=True)
        self.back = nn.GRU(embedded, width // 2, batch_first=True)

    def forward(
        self, embedded: Float[Tensor, "batch source embedded"], lengths: Int[Tensor, " batch"]
    ) -> tuple[Float[Tensor, "batch source width"], Float[Tensor, "batch width"]]:
        """What was read around each word, and the one vector that each direction ends with."""
        rows = torch.arange(len(lengths), device=lengths.device)
        flip = (lengths[:, None] - 1 - torch.arange(embedded.shape[1], device=lengths.device)) % embedded.shape[1]
        forth = self.forth(embedded)[0]
        back = self.back(embedded[rows[:, None], flip])[0]  # padding stays at the end: no packing, any kernel
        last = torch.cat([forth[rows, lengths - 1], back[rows, lengths - 1]], 1)
        return torch.cat([forth, back[rows[:, None], flip]], 2), last


class AdditiveAttention(nn.Module):
    """Bahdanau et al. 2015 (arXiv:1409.0473): a small network scores each word read against the decoder's state."""

    def __init__(self, width: int):
        super().__init__()
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width, bias=False)
        self.score = nn.Linear(width, 1, bias=False)

    def forward(
        self,
        query: Float[Tensor, "batch width"],
        keys: Float[Tensor, "batch source width"],
        values: Float[Tensor, "batch source width"],
        is_padding: Bool[Tensor, "batch source"],
    ) -> tuple[Float[Tensor, "batch width"], Float[Tensor, "batch source"]]:
        """What it looked at, and how much at each word."""
        scores = self.score(torch.tanh(keys + self.query(query)[:, None])).squeeze(2)
        weights = scores.masked_fill(is_padding, -torch.inf).softmax(1)
        return (weights[:, None] @ values).squeeze(1), weights


class Seq2Seq(Decoding):
    """A GRU reads, a GRU writes (Sutskever et al. 2014, arXiv:1409.3215; Cho et al. 2014, arXiv:1406.1078).

    Without `attention` the decoder has the encoder's last state and nothing else. With it, it looks back before each
    word, and is told what it looked at last (input feeding, Luong et al. 2015, arXiv:1508.04025).
    """

    feeds_itself = True

    def __init__(self, vocabulary: int, attention: bool, embedded: int, width: int, dropout: float = 0.0):
        super().__init__(vocabulary, embedded)
        self.encoder = Encoder(embedded, width)
        self.bridge = nn.Linear(width, width)
        self.attend = AdditiveAttention(width) if attention else None
        self.cell = nn.GRUCell(embedded + width, width)
        self.combine = nn.Linear(2 * width, width)
        self.project = nn.Linear(width, embedded)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, source: Int[Tensor, "batch source"], words: Int[Tensor, "batch target"], teacher_forcing: float = 1.0
    ) -> Float[Tensor, "batch target embedded"]:
        """`teacher_forcing` is the share of steps that are fed the right word; the others get the network's own."""
        return self.write(source, words, teacher_forcing)[0]

    def attention(
        self, source: Int[Tensor, "batch source"], words: Int[Tensor, "batch target"]
    ) -> Float[Tensor, "batch target source"] | None:
        return self.write(source, words, 1.0)[1] if self.attend else None

    def write(self, source: Tensor, words: Tensor, teacher_forcing: float) -> tuple[Tensor, Tensor | None]:
        """Features, and where it looked, for each word of (B, T)."""
        memory, state = self.start(source)
        right = self.dropout(self.embedding(words))
        combined, looks = [], []
        for position in range(words.shape[1]):
            fed = right[:, position]
            if position and teacher_forcing < 1:
                is_right = torch.rand(len(fed), 1, device=fed.device) < teacher_forcing
                fed = torch.where(is_right, fed, self.dropout(self.embedding(self.own_word(state))))
            state, look = self.advance(memory, state, fed)
            combined.append(state["combined"])
            looks.append(look)
        features = self.project(self.dropout(torch.stack(combined, 1)))
        return features, torch.stack(looks, 1) if self.attend else None

    @torch.no_grad()
    def own_word(self, state: State) -> Int[Tensor, " rows"]:
        """What it finds likeliest next."""
        return self.logits(self.project(state["combined"])).argmax(1)

    def start(self, source: Int[Tensor, "batch source"]) -> tuple[State, State]:
        """What is read, and the state before the first word."""
        is_padding = source == PAD
        embedded = self.dropout(self.embedding(source))
        values, last = self.encoder(embedded, (~is_padding).sum(1))
        state = {"hidden": torch.tanh(self.bridge(last)), "combined": torch.zeros_like(last)}
        if self.attend is None:
            return {"last": last}, state
        return {"values": values, "keys": self.attend.key(values), "is_padding": is_padding}, state

    def step(self, memory: State, state: State, words: Int[Tensor, " rows"]) -> tuple[Tensor, State]:
        """Features (rows, embedded) of the next word after `words`, and the state then."""
        state, _ = self.advance(memory, state, self.embedding(words))
        return self.project(state["combined"]), state

    def advance(self, memory: State, state: State, embedded: Tensor) -> tuple[State, Tensor | None]:
        """The state after a word (rows, embedded), and where it looked (rows, source)."""
        hidden = self.cell(torch.cat([embedded, state["combined"]], 1), state["hidden"])
        context, look = self.attend(hidden, **memory) if self.attend else (memory["last"], None)
        combined = torch.tanh(self.combine(torch.cat([hidden, context], 1)))
        return {"hidden": hidden, "combined": combined}, look


# ---- without recurrence ----


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
            nn.Linear(width, inner), nn.ReLU(), nn.Dropout(dropout), nn.Linear(inner, width)
        )
        self.dropout = nn.Dropout(dropout)

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


class Transformer(Decoding):
    """Attention alone on both sides (Vaswani et al. 2017, arXiv:1706.03762), with sines for positions."""

    feeds_itself = False  # all words are written at once in training: its own are not there to be fed

    def __init__(self, vocabulary: int, width: int, inner: int, heads: int, layers: int, dropout: float = 0.0):
        super().__init__(vocabulary, width)
        self.encoder = nn.ModuleList(Layer(width, inner, heads, dropout, looks_back=False) for _ in range(layers))
        self.decoder = nn.ModuleList(Layer(width, inner, heads, dropout, looks_back=True) for _ in range(layers))
        self.read_norm, self.written_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

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
