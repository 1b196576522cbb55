"""Sentences, and a network that writes a word at a time, to the translations found likeliest."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from lectern.tasks.translation.data.format.vocabulary import BOS, EOS, PAD
from lectern.tasks.translation.model.decoder import State


class Hypothesis(NamedTuple):
    """A translation without its end; `score` is the logarithm of its probability over length ** length_penalty."""

    words: list[int]
    score: float


@torch.inference_mode()
def beam_search(
    network: nn.Module, source: Int[Tensor, "batch source"], beam: int, length_penalty: float, longest: int
) -> list[list[Hypothesis]]:
    """At least `beam` translations of each sentence, the best first. A beam of 1 is greedy search.

    An end is sure: no translation grows beyond twice its source and ten, nor beyond `longest`.
    """
    limits = (2 * (source != PAD).sum(1) + 10).clamp(max=longest).tolist()
    beams = Beams(network, source, beam, length_penalty, limits)
    while beams.alive:
        beams.grow()
    return [sorted(found, key=lambda one: -one.score) for found in beams.found]


class Beams:
    """The `width` likeliest beginnings of each sentence; it is done when as many have come to an end among them."""

    def __init__(self, network: nn.Module, source: Tensor, width: int, length_penalty: float, limits: list[int]):
        self.network, self.width, self.length_penalty, self.limits = network, width, length_penalty, limits
        self.found: list[list[Hypothesis]] = [[] for _ in limits]
        self.alive = list(range(len(limits)))  # sentences still searched; each has `width` rows
        rows = torch.arange(len(limits), device=source.device).repeat_interleave(width)
        self.memory, self.state = (pick(part, rows) for part in network.start(source))
        self.words = torch.full((len(rows), 1), BOS, device=source.device)
        self.scores = torch.zeros(len(limits), width, device=source.device)
        self.scores[:, 1:] = -torch.inf  # the rows of a sentence begin alike, so one goes on

    def grow(self) -> None:
        """Each beginning a word longer."""
        features, self.state = self.network.step(self.memory, self.state, self.words[:, -1])
        must_end = [self.limits[sentence] <= self.words.shape[1] for sentence in self.alive]
        step = next_scores(self.network.logits(features), self.words.shape[1] == 1, must_end, self.width)
        totals = (self.scores[:, :, None] + step.unflatten(0, (-1, self.width))).flatten(1)
        best, index = totals.topk(2 * self.width)  # at most one end a row: as many go on as came
        parents, words = index // step.shape[1], index % step.shape[1]
        self.keep_ended(best, parents, words)
        going = [
            place
            for place, sentence in enumerate(self.alive)
            if len(self.found[sentence]) < self.width and not must_end[place]
        ]
        self.go_on(going, best, parents, words)

    def keep_ended(self, best: Tensor, parents: Tensor, words: Tensor) -> None:
        """Put what has ended among the `width` likeliest with what was found."""
        has_ended = (words == EOS) & best.isfinite()
        for place, rank in has_ended[:, : self.width].nonzero().tolist():
            written = self.words[place * self.width + parents[place, rank], 1:].tolist()
            score = best[place, rank].item() / (len(written) + 1) ** self.length_penalty
            self.found[self.alive[place]].append(Hypothesis(written, score))

    def go_on(self, going: list[int], best: Tensor, parents: Tensor, words: Tensor) -> None:
        """Keep the likeliest that have not ended, of the sentences that are not done."""
        places = torch.tensor(going, dtype=torch.long, device=best.device)
        best, parents, words = best[places], parents[places], words[places]
        self.scores, choice = best.masked_fill(words == EOS, -torch.inf).topk(self.width)
        rows = (places[:, None] * self.width + parents.gather(1, choice)).flatten()
        self.words = torch.cat([self.words[rows], words.gather(1, choice).view(-1, 1)], 1)
        self.state = pick(self.state, rows)
        if len(going) < len(self.alive):  # the rows of a sentence read the same, so only whole sentences leave
            self.memory = pick(self.memory, rows)
        self.alive = [self.alive[place] for place in going]


def next_scores(
    logits: Float[Tensor, "rows vocabulary"], is_first: bool, must_end: list[bool], width: int
) -> Float[Tensor, "rows vocabulary"]:
    """Log-probabilities of the next word: never padding, not the end at once, and nothing else where it must end."""
    scores = logits.float().log_softmax(1)
    scores[:, [PAD, BOS]] = -torch.inf
    if is_first:
        scores[:, EOS] = -torch.inf
    ending = torch.tensor(must_end, device=logits.device).repeat_interleave(width)
    ends = scores[ending, EOS]
    scores[ending] = -torch.inf
    scores[ending, EOS] = ends
    return scores


def pick(state: State, rows: Int[Tensor, " rows"]) -> State:
    """These rows of a state, in this order."""
    return {name: value[rows] for name, value in state.items()}
