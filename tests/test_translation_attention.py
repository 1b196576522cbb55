"""Test the attention weights per word. After tokens are merged to words, the weights of each word still sum to 1."""

import numpy as np
import pytest
import torch

from lectern.artifacts.dataset import read_facts
from lectern.tasks.translation.data.format.sentences import prepare
from lectern.tasks.translation.data.format.vocabulary import BOS
from lectern.tasks.translation.serving.word_attention import END, compute_attention, group_into_words, merge_tokens
from translation_toy import PAIRS, make_processed, make_translator

SENTENCE = PAIRS[0][0]


@pytest.fixture(scope="module")
def facts(tmp_path_factory) -> dict:
    return read_facts(make_processed(tmp_path_factory.mktemp("toy")))


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        (["▁A", "▁man", "."], [[0], [1], [2]]),
        (["▁Wa", "sser", "fall", ",", "▁so"], [[0, 1, 2], [3], [4]]),
        (["▁don", "'", "t"], [[0], [1], [2]]),
        (["▁", "<0xC3>", "<0xA4>", "h"], [[0, 1, 2, 3]]),
        (["zwei", "und", "▁drei"], [[0, 1], [2]]),
        (["▁", ".", "▁A"], [[0], [1], [2]]),
        ([], []),
    ],
    ids=["one_token_per_word", "several_tokens", "apostrophe", "bytes", "no_space", "space_token", "empty"],
)
def test_tokens_are_grouped_into_words_and_punctuation_marks(tokens, words):
    assert group_into_words(tokens) == words


def test_merged_weights_still_sum_to_one():
    # shape: 2 layers, 3 heads, 5 target tokens, 6 source tokens
    weights = np.random.default_rng(0).dirichlet(np.ones(6), (2, 3, 5))
    merged = merge_tokens(weights, source_words=[[0, 1], [2], [3, 4]], target_words=[[0], [1, 2, 3]])
    assert merged.shape == (2, 3, 3, 4)
    np.testing.assert_allclose(merged.sum(-1), 1)
    np.testing.assert_allclose(merged[..., 0, 0], weights[..., 0, :2].sum(-1))
    np.testing.assert_allclose(merged[..., 1, 3], weights[..., 1:4, 5].mean(-1))


@pytest.mark.parametrize(("network", "shape"), [("attention", (1, 1)), ("transformer", (2, 4))])
def test_attention_has_every_layer_and_head_and_a_label_for_each_word(facts, network, shape):
    translator = make_translator(facts, network)
    prepared = prepare([SENTENCE], facts)[0]
    translation = translator.translate([prepared], beam=2)[0][0].tokens
    attention = compute_attention(translator, prepared, translation)
    assert attention.weights.shape == (*shape, len(attention.target), len(attention.source))
    assert attention.source == ["A", "man", "sleeps", "here", ".", END] and attention.target[-1] == END
    np.testing.assert_allclose(attention.weights.sum(-1), 1, atol=1e-5)


def test_the_drawn_map_is_the_mean_over_layers_and_heads(facts):
    translator = make_translator(facts, "transformer")
    prepared = prepare([SENTENCE], facts)[0]
    translation = translator.translate([prepared], beam=5)[0][0].tokens
    with torch.inference_mode():
        weights = translator.network.attention_weights(torch.tensor([prepared]), torch.tensor([[BOS, *translation]]))
    source_tokens, target_tokens, drawn = translator.attention(prepared)
    assert drawn.shape == (len(target_tokens), len(source_tokens))
    np.testing.assert_allclose(drawn, weights[0].reshape(-1, *drawn.shape).mean(0), atol=1e-6)


def test_a_network_without_attention_has_no_map(facts):
    translator = make_translator(facts, "seq2seq")
    assert compute_attention(translator, prepare([SENTENCE], facts)[0], [300]) is None
