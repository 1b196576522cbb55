"""Search for the most probable translations with a network that predicts one token at a time."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lectern.tasks.translation.data.format.vocabulary import BOS, EOS, PAD
from lectern.tasks.translation.model.encoder_decoder import EncoderDecoder, State


class Hypothesis(NamedTuple):
    """A finished translation, stored without EOS.

    `score` is the log-probability of the translation divided by length ** length_penalty.
    """

    tokens: list[int]
    score: float


@torch.inference_mode()
def beam_search(
    network: EncoderDecoder, source: Int[Tensor, "batch source"], beam: int, length_penalty: float, max_length: int
) -> list[list[Hypothesis]]:
    """Return at least `beam` translations of each sentence, the best first. A beam of 1 means greedy search.

    Including EOS, a translation has at most `max_length` tokens. The number of tokens is also limited to twice the
    number of source tokens plus 10, so the search always ends.
    """
    limits = (2 * (source != PAD).sum(1) + 10).clamp(max=max_length).tolist()
    beams = Beams(network, source, beam, length_penalty, limits)
    while beams.active:
        beams.expand()
    return [sorted(finished, key=lambda hypothesis: -hypothesis.score) for finished in beams.finished]


class Beams:
    """The `size` most probable partial translations of each sentence.

    The search of a sentence ends when `size` of its translations are finished.
    """

    def __init__(self, network: EncoderDecoder, source: Tensor, size: int, length_penalty: float, limits: list[int]):
        self.network, self.size, self.length_penalty, self.limits = network, size, length_penalty, limits
        self.finished: list[list[Hypothesis]] = [[] for _ in limits]
        self.active = list(range(len(limits)))  # the unfinished sentences, with `size` rows each
        rows = torch.arange(len(limits), device=source.device).repeat_interleave(size)
        self.memory, self.state = (select_rows(part, rows) for part in network.start(source))
        self.tokens = torch.full((len(rows), 1), BOS, device=source.device)
        self.scores = torch.zeros(len(limits), size, device=source.device)
        # All rows of a sentence are equal at the start, so only the first row may continue.
        self.scores[:, 1:] = -torch.inf

    def expand(self) -> None:
        """Extend each partial translation by one token.

        Store finished translations and keep the best unfinished translations.
        """
        features, self.state = self.network.step(self.memory, self.state, self.tokens[:, -1])
        must_end = [self.limits[sentence] <= self.tokens.shape[1] for sentence in self.active]
        is_first = self.tokens.shape[1] == 1
        log_probabilities = next_token_scores(self.network.logits(features), is_first, must_end, self.size)
        totals = (self.scores[:, :, None] + torch.unflatten(log_probabilities, 0, (-1, self.size))).flatten(1)
        # At most one candidate per row ends, so at least `size` candidates continue.
        best, index = totals.topk(2 * self.size)
        vocabulary_size = log_probabilities.shape[1]
        parents, tokens = index // vocabulary_size, index % vocabulary_size
        self.collect_finished(best, parents, tokens)
        unfinished = [
            position
            for position, sentence in enumerate(self.active)
            if len(self.finished[sentence]) < self.size and not must_end[position]
        ]
        self.prune(unfinished, best, parents, tokens)

    def collect_finished(self, best: Tensor, parents: Tensor, tokens: Tensor) -> None:
        """Store the translations that end at this step and are among the `size` best candidates of their sentence."""
        has_ended = (tokens == EOS) & best.isfinite()
        for position, rank in has_ended[:, : self.size].nonzero().tolist():
            translation = self.tokens[position * self.size + parents[position, rank], 1:].tolist()
            score = best[position, rank].item() / (len(translation) + 1) ** self.length_penalty
            self.finished[self.active[position]].append(Hypothesis(translation, score))

    def prune(self, unfinished: list[int], best: Tensor, parents: Tensor, tokens: Tensor) -> None:
        """Keep the `size` best candidates that have not ended, for each unfinished sentence."""
        positions = torch.tensor(unfinished, dtype=torch.long, device=best.device)
        best, parents, tokens = best[positions], parents[positions], tokens[positions]
        self.scores, choice = best.masked_fill(tokens == EOS, -torch.inf).topk(self.size)
        rows = (positions[:, None] * self.size + parents.gather(1, choice)).flatten()
        self.tokens = torch.cat([self.tokens[rows], tokens.gather(1, choice).view(-1, 1)], 1)
        self.state = select_rows(self.state, rows)
        # All rows of a sentence share the memory of this sentence, so reordering the rows does not copy the memory.
        if len(unfinished) < len(self.active):
            self.memory = select_rows(self.memory, rows)
        self.active = [self.active[position] for position in unfinished]


def next_token_scores(
    logits: Float[Tensor, "rows vocabulary"], is_first: bool, must_end: list[bool], size: int
) -> Float[Tensor, "rows vocabulary"]:
    """Return the log-probabilities of the next token. Tokens that are not allowed get minus infinity.

    PAD and BOS are never allowed, and EOS is not allowed as the first token. If a sentence must end, only EOS is
    allowed.
    """
    scores = logits.float().log_softmax(1)
    scores[:, [PAD, BOS]] = -torch.inf
    if is_first:
        scores[:, EOS] = -torch.inf
    rows_to_end = torch.tensor(must_end, device=logits.device).repeat_interleave(size)
    end_scores = scores[rows_to_end, EOS]
    scores[rows_to_end] = -torch.inf
    scores[rows_to_end, EOS] = end_scores
    return scores


def select_rows(state: State, rows: Int[Tensor, " rows"]) -> State:
    """Return the given rows of a state, in the given order."""
    return {name: value[rows] for name, value in state.items()}
