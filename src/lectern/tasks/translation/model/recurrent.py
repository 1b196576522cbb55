"""A network that reads word by word and writes word by word, with one vector between or with attention."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from lectern.tasks.translation.data.format.vocabulary import PAD
from lectern.tasks.translation.model.decoder import State, TiedEmbeddingDecoder


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


class Seq2Seq(TiedEmbeddingDecoder):
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
