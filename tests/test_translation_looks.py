"""Where a translator looked, word by word: weights stay weights when pieces become words."""

import numpy as np
import pytest
import torch

from lectern.artifacts.dataset import read_facts
from lectern.tasks.translation.data.format.sentences import prepare
from lectern.tasks.translation.serving.attention import END, all_looks, group, look, merge
from translation_toy import PAIRS, make_processed, make_translator


@pytest.fixture(scope="module")
def facts(tmp_path_factory) -> dict:
    return read_facts(make_processed(tmp_path_factory.mktemp("toy")))


@pytest.mark.parametrize(
    ("pieces", "words"),
    [
        (["▁A", "▁man", "."], [[0], [1], [2]]),
        (["▁Wa", "sser", "fall", ",", "▁so"], [[0, 1, 2], [3], [4]]),
        (["▁don", "'", "t"], [[0], [1], [2]]),
        (["▁", "<0xC3>", "<0xA4>", "h"], [[0, 1, 2, 3]]),
        (["zwei", "und", "▁drei"], [[0, 1], [2]]),
        (["▁", ".", "▁A"], [[0], [1], [2]]),
        ([], []),
    ],
    ids=["plain", "long", "mark", "bytes", "no-space", "lone", "nothing"],
)
def test_pieces_are_grouped_to_words_and_marks(pieces, words):
    assert group(pieces) == words


def test_merged_weights_still_sum_to_one():
    weights = np.random.default_rng(0).dirichlet(np.ones(6), (2, 3, 5))  # two layers, three heads, five read by six
    merged = merge(weights, [[0, 1], [2], [3, 4]], [[0], [1, 2, 3]])
    assert merged.shape == (2, 3, 3, 4)
    np.testing.assert_allclose(merged.sum(-1), 1)
    np.testing.assert_allclose(merged[..., 0, 0], weights[..., 0, :2].sum(-1))
    np.testing.assert_allclose(merged[..., 1, 3], weights[..., 1:4, 5].mean(-1))


@pytest.mark.parametrize(("network", "shape"), [("attention", (1, 1)), ("transformer", (2, 4))])
def test_every_layer_and_head_is_shown_with_words_on_both_sides(facts, network, shape):
    translator = make_translator(facts, network)
    prepared = prepare([PAIRS[0][0]], facts)[0]
    words = translator.translate([prepared], beam=2)[0][0].words
    looks = look(translator, prepared, words)
    assert looks.weights.shape == (*shape, len(looks.written), len(looks.read))
    assert looks.read[-1] == looks.written[-1] == END and looks.read[:-1] == ["A", "man", "sleeps", "here", "."]
    np.testing.assert_allclose(looks.weights.sum(-1), 1, atol=1e-5)


def test_the_mean_over_layers_and_heads_is_the_networks_own_map(facts):
    translator = make_translator(facts, "transformer")
    source, words = torch.tensor([prepare([PAIRS[0][0]], facts)[0]]), torch.tensor([[1, 300, 301]])
    with torch.inference_mode():
        own = translator.network.attention(source, words)[0]
        torch.testing.assert_close(all_looks(translator.network, source, words).mean((0, 1)), own)


def test_a_network_without_attention_has_no_map(facts):
    translator = make_translator(facts, "seq2seq")
    assert look(translator, prepare([PAIRS[0][0]], facts)[0], [300]) is None
