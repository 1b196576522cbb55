"""Translate with recurrent networks, with or without attention."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from lectern.config import DropoutRate, PositiveInt
from lectern.tasks.translation.data.format.vocabulary import PAD
from lectern.tasks.translation.model.encoder_decoder import EncoderDecoder, State


class Encoder(nn.Module):
    """A bidirectional GRU. The backward GRU starts at the last token of each sentence, not at the padding."""

    def __init__(self, embedding_size: int, hidden_size: int):
        super().__init__()
        self.forward_gru = nn.GRU(embedding_size, hidden_size // 2, batch_first=True)
        self.backward_gru = nn.GRU(embedding_size, hidden_size // 2, batch_first=True)

    def forward(
        self, embedded: Float[Tensor, "batch source embedding"], lengths: Int[Tensor, " batch"]
    ) -> tuple[Float[Tensor, "batch source hidden"], Float[Tensor, "batch hidden"]]:
        """Return the outputs at each token, and the final outputs of both directions in one vector."""
        rows = torch.arange(len(lengths), device=lengths.device)
        flip = (lengths[:, None] - 1 - torch.arange(embedded.shape[1], device=lengths.device)) % embedded.shape[1]
        forward_outputs = self.forward_gru(embedded)[0]
        # The flip of each sentence keeps the padding at the end.
        # Without packed sequences, cuDNN can use its fast kernels.
        flipped_outputs = self.backward_gru(embedded[rows[:, None], flip])[0]
        final = torch.cat([forward_outputs[rows, lengths - 1], flipped_outputs[rows, lengths - 1]], 1)
        return torch.cat([forward_outputs, flipped_outputs[rows[:, None], flip]], 2), final


class AdditiveAttention(nn.Module):
    """Attention that scores each source token with a small network (Bahdanau et al. 2015, arXiv:1409.0473)."""

    def __init__(self, hidden_size: int):
        super().__init__()
        self.query = nn.Linear(hidden_size, hidden_size)
        self.key = nn.Linear(hidden_size, hidden_size, bias=False)
        self.score = nn.Linear(hidden_size, 1, bias=False)

    def forward(
        self,
        query: Float[Tensor, "batch hidden"],
        keys: Float[Tensor, "batch source hidden"],
        values: Float[Tensor, "batch source hidden"],
        is_padding: Bool[Tensor, "batch source"],
    ) -> tuple[Float[Tensor, "batch hidden"], Float[Tensor, "batch source"]]:
        """Return the weighted mean of the values, and the weights."""
        scores = self.score(torch.tanh(keys + self.query(query)[:, None])).squeeze(2)
        weights = scores.masked_fill(is_padding, -torch.inf).softmax(1)
        return (weights[:, None] @ values).squeeze(1), weights


class Seq2Seq(EncoderDecoder):
    """A GRU encoder and a GRU decoder (Sutskever et al. 2014, arXiv:1409.3215; Cho et al. 2014, arXiv:1406.1078).

    If `attention` is false, the decoder receives only the final state of the encoder. If `attention` is true, the
    decoder attends to the source before each token. The next input of the decoder contains the result of the attention
    (input feeding, Luong et al. 2015, arXiv:1508.04025).
    """

    supports_scheduled_sampling = True

    def __init__(
        self,
        vocabulary_size: int,
        attention: bool,
        embedding_size: PositiveInt,
        hidden_size: PositiveInt,
        dropout: DropoutRate = 0.0,
    ):
        super().__init__(vocabulary_size, embedding_size)
        self.encoder = Encoder(embedding_size, hidden_size)
        self.bridge = nn.Linear(hidden_size, hidden_size)
        self.attention = AdditiveAttention(hidden_size) if attention else None
        self.cell = nn.GRUCell(embedding_size + hidden_size, hidden_size)
        self.combine = nn.Linear(2 * hidden_size, hidden_size)
        self.project = nn.Linear(hidden_size, embedding_size)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, source: Int[Tensor, "batch source"], target: Int[Tensor, "batch target"], teacher_forcing: float = 1.0
    ) -> Float[Tensor, "batch target embedding"]:
        return self.decode(source, target, teacher_forcing)[0]

    def attention_weights(
        self, source: Int[Tensor, "batch source"], target: Int[Tensor, "batch target"]
    ) -> Float[Tensor, "batch 1 1 target source"] | None:
        if self.attention is None:
            return None
        return torch.stack(self.decode(source, target, 1.0)[1], 1)[:, None, None]

    def decode(self, source: Tensor, target: Tensor, teacher_forcing: float) -> tuple[Tensor, list[Tensor]]:
        """Return the features (batch, target, embedding), and the attention weights (batch, source) of each position.

        The list of weights is empty for a network without attention.
        """
        memory, state = self.start(source)
        embedded_target = self.dropout(self.embedding(target))
        combined, weights = [], []
        for position in range(target.shape[1]):
            decoder_input = embedded_target[:, position]
            if position and teacher_forcing < 1:
                use_target = torch.rand(len(decoder_input), 1, device=decoder_input.device) < teacher_forcing
                predicted = self.dropout(self.embedding(self.greedy_next(state)))
                decoder_input = torch.where(use_target, decoder_input, predicted)
            state, position_weights = self.advance(memory, state, decoder_input)
            combined.append(state["combined"])
            if position_weights is not None:
                weights.append(position_weights)
        return self.project(self.dropout(torch.stack(combined, 1))), weights

    @torch.no_grad()
    def greedy_next(self, state: State) -> Int[Tensor, " rows"]:
        """Return the most probable next token."""
        return self.logits(self.project(state["combined"])).argmax(1)

    def start(self, source: Int[Tensor, "batch source"]) -> tuple[State, State]:
        is_padding = source == PAD
        embedded = self.dropout(self.embedding(source))
        values, final = self.encoder(embedded, (~is_padding).sum(1))
        state = {"hidden": torch.tanh(self.bridge(final)), "combined": torch.zeros_like(final)}
        if self.attention is None:
            return {"context": final}, state
        return {"values": values, "keys": self.attention.key(values), "is_padding": is_padding}, state

    def step(self, memory: State, state: State, tokens: Int[Tensor, " rows"]) -> tuple[Tensor, State]:
        state, _ = self.advance(memory, state, self.embedding(tokens))
        return self.project(state["combined"]), state

    def advance(self, memory: State, state: State, embedded: Tensor) -> tuple[State, Tensor | None]:
        """Return the state after reading a token (rows, embedding), and the attention weights (rows, source)."""
        hidden = self.cell(torch.cat([embedded, state["combined"]], 1), state["hidden"])
        context, weights = self.attention(hidden, **memory) if self.attention else (memory["context"], None)
        combined = torch.tanh(self.combine(torch.cat([hidden, context], 1)))
        return {"hidden": hidden, "combined": combined}, weights
