"""What the search finds: what is likeliest, whatever stands beside it in the batch, and always an end."""

import itertools

import pytest
import torch
from torch import nn

from lectern.errors import UserError
from lectern.tasks.translation.data.format.vocabulary import BOS, EOS, PAD
from lectern.tasks.translation.model import module
from lectern.tasks.translation.model.beam_search import beam_search
from lectern.tasks.translation.model.module import check_search
from lectern.training.networks import build_network
from translation_toy import NETWORKS

SOURCES = [[5, 6, 7, 8, EOS], [9, 5, EOS], [7, EOS], [6, 6, 6, 6, 9, 8, EOS]]
every_network = pytest.mark.parametrize("name", NETWORKS)


class Chain(nn.Module):
    """Words whose likelihood depends on the word before only, so that all translations can be listed."""

    def __init__(self, table: torch.Tensor):
        super().__init__()
        self.table = table

    def start(self, source):
        return {}, {"seen": torch.zeros(len(source), 1)}

    def step(self, memory, state, words):
        return self.table[words], {"seen": state["seen"] + 1}

    def logits(self, features):
        return features


def pad(sources: list[list[int]]) -> torch.Tensor:
    width = max(map(len, sources))
    return torch.tensor([[*source, *[PAD] * (width - len(source))] for source in sources])


def make(name: str):
    torch.manual_seed(2)
    return build_network(NETWORKS[name], module.NETWORKS, 20).eval()


def log_probability(network, source: list[int], words: list[int]) -> float:
    """Of a translation and its end, by reading it as training does; padding and begin are never written."""
    logits = network.logits(network(torch.tensor([source]), torch.tensor([[BOS, *words]])))[0].log_softmax(1)
    return sum(logits[position, word].item() for position, word in enumerate([*words, EOS]))


def test_a_wide_beam_finds_the_likeliest_of_all_translations():
    torch.manual_seed(0)
    table = torch.randn(6, 6) * 2
    chain, scores = Chain(table), table.log_softmax(1)
    every = [words for length in (1, 2, 3) for words in itertools.product((3, 4, 5), repeat=length)]
    whole = {words: sum(scores[a, b].item() for a, b in itertools.pairwise([BOS, *words, EOS])) for words in every}
    found = beam_search(chain, torch.tensor([[3, EOS]]), beam=40, length_penalty=0.0, longest=4)[0]
    assert tuple(found[0].words) == max(whole, key=whole.get)
    told = {tuple(one.words): one.score for one in found}
    assert all(told[words] == pytest.approx(value, abs=1e-4) for words, value in whole.items())


def test_greedy_search_takes_the_likeliest_word_each_time():
    torch.manual_seed(7)
    table = torch.randn(8, 8)
    words, last = [], BOS
    while last != EOS:
        allowed = table[last].clone()
        allowed[[PAD, BOS] + ([EOS] if not words else [])] = -torch.inf
        last = int(allowed.argmax())
        words.append(last)
    found = beam_search(Chain(table), torch.tensor([[3, EOS]]), beam=1, length_penalty=1.0, longest=12)
    assert found[0][0].words == words[:-1]


@every_network
@pytest.mark.parametrize("beam", [1, 4])
def test_a_score_is_the_log_probability_by_length(name, beam):
    network = make(name)
    for source, found in zip(SOURCES, beam_search(network, pad(SOURCES), beam, 0.7, longest=30), strict=True):
        for words, score in found:
            expected = log_probability(network, source, words) / (len(words) + 1) ** 0.7
            assert score == pytest.approx(expected, abs=1e-4)


@every_network
def test_a_sentence_is_translated_the_same_alone_and_in_a_batch(name):
    network = make(name)
    together = beam_search(network, pad(SOURCES), beam=3, length_penalty=1.0, longest=30)
    for source, found in zip(SOURCES, together, strict=True):
        alone = beam_search(network, torch.tensor([source]), beam=3, length_penalty=1.0, longest=30)[0]
        assert [one.words for one in alone] == [one.words for one in found]


@every_network
def test_translations_are_different_whole_words_only_and_the_best_comes_first(name):
    for found in beam_search(make(name), pad(SOURCES), beam=5, length_penalty=1.0, longest=30):
        assert len({tuple(one.words) for one in found}) == len(found) >= 5
        assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
        assert all(one.words and not {PAD, BOS, EOS} & set(one.words) for one in found)


@pytest.mark.parametrize("beam", [1, 5])
def test_an_end_is_sure_for_a_network_that_never_ends(beam):
    table = torch.zeros(6, 6)
    table[:, EOS] = -100.0
    found = beam_search(Chain(table), pad([[3, EOS], [3] * 30 + [EOS]]), beam, length_penalty=1.0, longest=40)
    lengths = [{len(one.words) for one in translations} for translations in found]
    assert lengths == [{13}, {39}]  # twice 2 and 10, and no more than 40, each with its end
    assert all(len(translations) == beam for translations in found)


@pytest.mark.parametrize(
    ("beam", "n_best", "message"),
    [(0, 1, "beam is 0"), (33, 1, "from 1"), (3, 4, "n_best is 4"), (3, 0, "n_best is 0")],
)
def test_a_search_that_is_none_is_refused(beam, n_best, message):
    with pytest.raises(UserError, match=message):
        check_search(beam, n_best)
