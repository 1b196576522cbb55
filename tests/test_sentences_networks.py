"""Test the networks, the loader and the module of the task sentences."""

import numpy as np
import pytest
import torch

from lectern.errors import UserError
from lectern.tasks.sentences.data.format.sentences import prepare
from lectern.tasks.sentences.data.format.vocabulary import MASK, PAD, UNKNOWN
from lectern.tasks.sentences.model.loader import load, pad, trim
from lectern.tasks.sentences.model.module import drop_words
from lectern.tasks.sentences.model.word_importance import occlude_words
from sentence_texts import NETWORKS, SENTENCES, WORDS, make_classifier, make_processed, train


@pytest.fixture(scope="module")
def processed(tmp_path_factory):
    return make_processed(tmp_path_factory.mktemp("sentences"))


@pytest.fixture(scope="module")
def trained(processed):
    torch.manual_seed(0)
    return train(make_classifier(processed, word_dropout=0.2), processed)


@pytest.mark.parametrize("network", NETWORKS)
def test_network_learns_which_words_determine_the_class(processed, network):
    torch.manual_seed(0)
    module = train(make_classifier(processed, network), processed)
    sentences = prepare([text for _, text in SENTENCES], module.facts)
    assert (module.predict(sentences).argmax(1) == [label for label, _ in SENTENCES]).all()


@pytest.mark.parametrize("network", NETWORKS)
def test_padding_and_other_sentences_of_a_batch_do_not_change_a_prediction(processed, network):
    module = make_classifier(processed, network).eval()
    sentences = [[3], [4, 5, 6, 7, 8, 9, 10, 11], [UNKNOWN, 3], [5, 4, 3]]
    alone = np.concatenate([module.predict([words]) for words in sentences])
    np.testing.assert_allclose(module.predict(sentences), alone, atol=1e-6)
    logits = module(pad(sentences))
    longer = module(torch.nn.functional.pad(pad(sentences), (0, 5), value=PAD))
    torch.testing.assert_close(longer, logits)


def test_predictions_have_the_order_of_the_sentences_and_sum_to_one(trained):
    sentences = prepare([text for _, text in SENTENCES] * 2, trained.facts)
    probabilities = trained.predict(sentences, batch_size=7)
    np.testing.assert_allclose(probabilities, trained.predict(sentences), atol=1e-5)
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-5)
    assert trained.predict([]).shape == (0, 2)


def test_attention_weights_sum_to_one_and_are_zero_on_padding(processed):
    network = make_classifier(processed).eval().network
    weights = network.attention_weights(pad([[3, 4, 5], [3]]))
    torch.testing.assert_close(weights.sum(1), torch.ones(2))
    assert weights[1, 1:].abs().max() == 0
    assert make_classifier(processed, "cnn").attention([3, 4]) is None


def test_occlusion_is_largest_for_the_word_that_determines_the_class(trained):
    text = f"the film is {WORDS[1][2]} today ."
    importance = occlude_words(trained, prepare([text], trained.facts)[0])
    assert importance.argmax() == 3 and importance[3] > 0.3
    assert len(importance) == 6


# The loader


def test_an_epoch_contains_each_sentence_once_in_an_order_of_its_own(processed):
    loader = load(processed, "train", 1, batch_size=10)
    epochs = []
    for epoch in (0, 1):
        loader.set_epoch(epoch)
        batches = [(loader.items.tolist(), words, labels) for words, labels, _ in loader]
        epochs.append([item for items, *_ in batches for item in items])
        assert sorted(epochs[-1]) == list(range(loader.rows))
        assert [len(items) for items, *_ in batches[:-1]] == [10] * (len(loader) - 1)
    assert epochs[0] != epochs[1]


def test_batches_have_little_padding(processed):
    loader = load(processed, "train", 1, batch_size=10)
    spread = [int(np.ptp((words != PAD).sum(1).numpy())) for words, _, _ in loader]
    assert np.mean(spread) < 1


def test_labels_selects_this_many_training_sentences_by_the_seed(processed):
    first, again, other = (load(processed, "train", seed, batch_size=10, labels=12) for seed in (1, 1, 2))
    assert first.rows == 12 and torch.equal(first.tensors[0], again.tensors[0])
    assert not torch.equal(first.tensors[0], other.tensors[0])
    assert load(processed, "validation", 1, batch_size=10, labels=12).rows == 32
    with pytest.raises(UserError, match=r"batches.labels is 5,000, but the training split has 98 sentences"):
        load(processed, "train", 1, batch_size=10, labels=5000)


def test_word_dropout_replaces_words_and_keeps_padding():
    torch.manual_seed(0)
    words = pad([[5] * 100, [5] * 10])
    dropped = drop_words(words, 0.3)
    assert ((dropped == PAD) == (words == PAD)).all()
    assert 0.15 < (dropped == UNKNOWN).sum() / 110 < 0.45
    assert set(dropped.unique().tolist()) == {PAD, UNKNOWN, 5} and MASK not in dropped
    assert torch.equal(drop_words(words, 0.0), words)


def test_trim_removes_only_columns_of_padding():
    assert trim(torch.tensor([[3, 4, 0, 0], [5, 0, 0, 0]])).tolist() == [[3, 4], [5, 0]]
