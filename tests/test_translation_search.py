"""Test that beam search finds the most probable translation, does not depend on the batch, and always ends."""

import itertools

import pytest
import torch

from lectern.errors import UserError
from lectern.tasks.translation.data.format.vocabulary import BOS, EOS, PAD
from lectern.tasks.translation.model import module
from lectern.tasks.translation.model.beam_search import beam_search
from lectern.tasks.translation.model.encoder_decoder import EncoderDecoder
from lectern.training.network_factory import build_network
from translation_toy import NETWORKS

SOURCES = [[5, 6, 7, 8, EOS], [9, 5, EOS], [7, EOS], [6, 6, 6, 6, 9, 8, EOS]]
every_network = pytest.mark.parametrize("name", NETWORKS)


class MarkovChain(EncoderDecoder):
    """A network whose next token depends only on the previous token, so that all translations can be listed."""

    supports_scheduled_sampling = False

    def __init__(self, transitions: torch.Tensor):
        super().__init__(vocabulary_size=len(transitions), embedding_size=1)
        self.transitions = transitions

    def forward(self, source, target, teacher_forcing=1.0):
        return self.transitions[target]

    def start(self, source):
        return {}, {"position": torch.zeros(len(source), 1)}

    def step(self, memory, state, tokens):
        return self.transitions[tokens], {"position": state["position"] + 1}

    def logits(self, features):
        return features

    def attention_weights(self, source, target):
        return None


def pad(sources: list[list[int]]) -> torch.Tensor:
    length = max(map(len, sources))
    return torch.tensor([[*source, *[PAD] * (length - len(source))] for source in sources])


def make_network(name: str):
    torch.manual_seed(2)
    return build_network(NETWORKS[name], module.NETWORKS, 20).eval()


def log_probability(network, source: list[int], tokens: list[int]) -> float:
    """Return the log-probability of a translation with EOS, computed for all positions at once as in training."""
    logits = network.logits(network(torch.tensor([source]), torch.tensor([[BOS, *tokens]])))[0].log_softmax(1)
    return sum(logits[position, token].item() for position, token in enumerate([*tokens, EOS]))


def test_a_large_beam_finds_the_most_probable_of_all_translations():
    torch.manual_seed(0)
    transitions = torch.randn(6, 6) * 2
    scores = transitions.log_softmax(1)
    translations = [tokens for length in (1, 2, 3) for tokens in itertools.product((3, 4, 5), repeat=length)]
    expected = {
        tokens: sum(scores[last, following].item() for last, following in itertools.pairwise([BOS, *tokens, EOS]))
        for tokens in translations
    }
    hypotheses = beam_search(
        MarkovChain(transitions), torch.tensor([[3, EOS]]), beam=40, length_penalty=0.0, max_length=4
    )[0]
    assert tuple(hypotheses[0].tokens) == max(expected, key=expected.get)
    found = {tuple(hypothesis.tokens): hypothesis.score for hypothesis in hypotheses}
    assert all(found[tokens] == pytest.approx(score, abs=1e-4) for tokens, score in expected.items())


def test_greedy_search_takes_the_most_probable_token_at_each_step():
    torch.manual_seed(7)
    transitions = torch.randn(8, 8)
    expected, last = [], BOS
    while last != EOS:
        allowed = transitions[last].clone()
        allowed[[PAD, BOS] + ([EOS] if not expected else [])] = -torch.inf
        last = int(allowed.argmax())
        expected.append(last)
    hypotheses = beam_search(
        MarkovChain(transitions), torch.tensor([[3, EOS]]), beam=1, length_penalty=1.0, max_length=12
    )
    assert hypotheses[0][0].tokens == expected[:-1]


@every_network
@pytest.mark.parametrize("beam", [1, 4])
def test_the_score_is_the_log_probability_divided_by_the_penalized_length(name, beam):
    network = make_network(name)
    results = beam_search(network, pad(SOURCES), beam, 0.7, max_length=30)
    for source, hypotheses in zip(SOURCES, results, strict=True):
        for tokens, score in hypotheses:
            expected = log_probability(network, source, tokens) / (len(tokens) + 1) ** 0.7
            assert score == pytest.approx(expected, abs=1e-4)


@every_network
def test_a_batch_gives_the_same_translations_as_single_sentences(name):
    network = make_network(name)
    batched = beam_search(network, pad(SOURCES), beam=3, length_penalty=1.0, max_length=30)
    for source, hypotheses in zip(SOURCES, batched, strict=True):
        single = beam_search(network, torch.tensor([source]), beam=3, length_penalty=1.0, max_length=30)[0]
        assert [hypothesis.tokens for hypothesis in single] == [hypothesis.tokens for hypothesis in hypotheses]


@every_network
def test_translations_are_distinct_nonempty_and_sorted_by_score(name):
    for hypotheses in beam_search(make_network(name), pad(SOURCES), beam=5, length_penalty=1.0, max_length=30):
        assert len({tuple(hypothesis.tokens) for hypothesis in hypotheses}) == len(hypotheses) >= 5
        scores = [hypothesis.score for hypothesis in hypotheses]
        assert scores == sorted(scores, reverse=True)
        assert all(hypothesis.tokens and not {PAD, BOS, EOS} & set(hypothesis.tokens) for hypothesis in hypotheses)


@pytest.mark.parametrize("beam", [1, 5])
def test_the_search_ends_for_a_network_that_never_predicts_the_end(beam):
    transitions = torch.zeros(6, 6)
    transitions[:, EOS] = -100.0
    sources = pad([[3, EOS], [3] * 30 + [EOS]])
    results = beam_search(MarkovChain(transitions), sources, beam, length_penalty=1.0, max_length=40)
    lengths = [{len(hypothesis.tokens) for hypothesis in hypotheses} for hypotheses in results]
    assert lengths == [{13}, {39}]  # With EOS, these lengths are the limits 2 * 2 + 10 and 40.
    assert all(len(hypotheses) == beam for hypotheses in results)


@pytest.mark.parametrize(
    ("beam", "n_best", "message"),
    [(0, 1, "beam is 0"), (33, 1, "from 1"), (3, 4, "n_best is 4"), (3, 0, "n_best is 0")],
)
def test_an_invalid_beam_is_rejected(beam, n_best, message):
    with pytest.raises(UserError, match=message):
        module.check_beam(beam, n_best)
