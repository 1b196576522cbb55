"""What holds for each of the three networks: padding is nothing, a word at a time is the same, one batch is learnt."""

import pytest
import torch
from torch.nn import functional as F

from lectern.errors import UserError
from lectern.tasks.translation.data.format.vocabulary import BOS, EOS, PAD
from lectern.tasks.translation.model import module
from lectern.tasks.translation.model.loss import ChunkedCrossEntropy
from lectern.tasks.translation.model.recurrent import AdditiveAttention, Encoder
from lectern.tasks.translation.model.transformer import Transformer
from lectern.training.networks import build_network
from translation_toy import NETWORKS

SOURCE = torch.tensor([[5, 6, 7, 8, EOS], [9, 5, EOS, PAD, PAD]])
TARGET = torch.tensor([[BOS, 10, 11, 12, EOS], [BOS, 13, EOS, PAD, PAD]])
every_network = pytest.mark.parametrize("name", NETWORKS)


def make(name: str, **arguments):
    torch.manual_seed(1)
    return build_network({**NETWORKS[name], **arguments}, module.NETWORKS, 20).eval()


@every_network
def test_padding_changes_nothing(name):
    network = make(name)
    together = network(SOURCE, TARGET[:, :-1])
    alone = network(SOURCE[1:, :3], TARGET[1:, :2])
    torch.testing.assert_close(together[1, :2], alone[0], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("name", ["attention", "transformer"])
def test_padding_gets_no_attention_and_the_rest_gets_all_of_it(name):
    looks = make(name).attention(SOURCE, TARGET[:, :-1])
    assert (looks[1, :, 3:] == 0).all() and (looks[0] > 0).all()
    torch.testing.assert_close(looks.sum(2), torch.ones(2, 4))


def test_a_network_without_attention_has_none_to_show():
    assert make("seq2seq").attention(SOURCE, TARGET) is None


def test_the_one_vector_is_all_that_the_decoder_has_without_attention():
    memory, _ = make("seq2seq").start(SOURCE)
    assert {name: value.shape for name, value in memory.items()} == {"last": (2, 32)}


@every_network
def test_padding_gets_no_loss_and_no_gradient(name):
    network = make(name)
    is_word = TARGET[:, 1:] != PAD
    loss, _ = ChunkedCrossEntropy.apply(
        network(SOURCE, TARGET[:, :-1])[is_word], network.embedding.weight, TARGET[:, 1:][is_word], 0.0
    )
    loss.backward()
    logits = network.logits(network(SOURCE, TARGET[:, :-1])).flatten(0, 1)
    torch.testing.assert_close(loss, F.cross_entropy(logits, TARGET[:, 1:].flatten(), ignore_index=PAD))
    padded = network.embedding.weight.grad.clone()
    network.zero_grad()
    wider = F.pad(SOURCE, (0, 4)), F.pad(TARGET, (0, 4))
    is_word = wider[1][:, 1:] != PAD
    features = network(wider[0], wider[1][:, :-1])[is_word]
    ChunkedCrossEntropy.apply(features, network.embedding.weight, wider[1][:, 1:][is_word], 0.0)[0].backward()
    torch.testing.assert_close(network.embedding.weight.grad, padded, atol=1e-6, rtol=1e-4)


@every_network
def test_a_word_at_a_time_gives_what_all_at_once_gives(name):
    network = make(name)
    memory, state = network.start(SOURCE)
    steps = []
    for position in range(4):
        features, state = network.step(memory, state, TARGET[:, position])
        steps.append(features)
    torch.testing.assert_close(torch.stack(steps, 1), network(SOURCE, TARGET[:, :-1]), atol=1e-6, rtol=1e-5)


@every_network
def test_no_word_sees_a_later_one(name):
    network = make(name)
    changed = TARGET.clone()
    changed[:, 2:] = 15
    before, after = network(SOURCE, TARGET), network(SOURCE, changed)
    torch.testing.assert_close(before[:, :2], after[:, :2])
    assert not torch.allclose(before[:, 2:], after[:, 2:])


@every_network
def test_every_source_word_matters(name):
    network = make(name)
    for position in range(5):
        changed = SOURCE.clone()
        changed[0, position] = 15
        assert not torch.allclose(network(SOURCE, TARGET)[0], network(changed, TARGET)[0]), position


@pytest.mark.parametrize("name", ["seq2seq", "attention"])
def test_teacher_forcing_of_zero_never_sees_the_right_words_and_one_sees_all(name):
    network = make(name)
    wrong = torch.full_like(TARGET, 15)
    wrong[:, 0] = BOS
    torch.testing.assert_close(network(SOURCE, TARGET, 0.0), network(SOURCE, wrong, 0.0))
    assert not torch.allclose(network(SOURCE, TARGET, 1.0), network(SOURCE, wrong, 1.0))


@pytest.mark.parametrize("name", ["seq2seq", "attention"])
def test_its_own_words_are_those_that_it_finds_likeliest(name):
    network = make(name)
    own = TARGET[:, :1]
    for _ in range(4):
        own = torch.cat([own, network.logits(network(SOURCE, own))[:, -1:].argmax(2)], 1)
    torch.testing.assert_close(network(SOURCE, TARGET, 0.0), network(SOURCE, own, 1.0))


@pytest.mark.parametrize("name", ["seq2seq", "attention"])
def test_teacher_forcing_is_the_share_of_right_words(name, monkeypatch):
    network, fed = make(name), []
    monkeypatch.setattr(network, "own_word", lambda state: torch.full((len(state["hidden"]),), 19))
    advance = network.advance
    monkeypatch.setattr(
        network, "advance", lambda memory, state, word: (fed.append(word), advance(memory, state, word))[1]
    )
    words = torch.full((50, 40), 3)
    network(SOURCE[:1].expand(50, -1), words, 0.3)
    right = torch.stack([(word == network.embedding.weight[3]).all(1) for word in fed[1:]]).float().mean()
    assert 0.25 < right < 0.35


@every_network
def test_one_batch_is_learnt_by_heart(name):
    network = make(name).train()
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    is_word = TARGET[:, 1:] != PAD
    for _ in range(60):
        features = network(SOURCE, TARGET[:, :-1])[is_word]
        loss, plain = ChunkedCrossEntropy.apply(features, network.embedding.weight, TARGET[:, 1:][is_word], 0.0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert plain < 0.05


def test_the_encoder_reads_back_from_the_last_word_and_not_from_padding():
    torch.manual_seed(0)
    encoder, words = Encoder(8, 12), torch.randn(2, 5, 8)
    around, last = encoder(words, torch.tensor([5, 3]))
    alone, last_alone = encoder(words[1:, :3], torch.tensor([3]))
    torch.testing.assert_close(around[1:, :3], alone)
    torch.testing.assert_close(last[1:], last_alone)
    back = encoder.back(words[:1].flip(1))[0].flip(1)
    torch.testing.assert_close(around[:1, :, 6:], back)


def test_additive_attention_is_a_mean_of_what_was_read():
    torch.manual_seed(0)
    look, values = AdditiveAttention(4), torch.randn(1, 3, 4)
    context, weights = look(torch.randn(1, 4), look.key(values), values, torch.zeros(1, 3, dtype=torch.bool))
    torch.testing.assert_close(context[0], (weights[0, :, None] * values[0]).sum(0))


def test_the_transformer_has_the_2_6_million_parameters_of_the_literature():
    network = Transformer(10_000, width=128, inner=256, heads=4, layers=4)
    assert sum(parameter.numel() for parameter in network.parameters()) == 2_605_568


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_taken_in_parts_is_cross_entropy_with_its_gradient(smoothing, monkeypatch):
    monkeypatch.setattr(ChunkedCrossEntropy, "ROWS", 3)
    torch.manual_seed(0)
    features, embedding = torch.randn(7, 4, requires_grad=True), torch.randn(11, 4, requires_grad=True)
    words = torch.randint(0, 11, (7,))
    expected = F.cross_entropy(features @ embedding.T, words, label_smoothing=smoothing)
    gradients = torch.autograd.grad(3 * expected, (features, embedding))
    loss, plain = ChunkedCrossEntropy.apply(features, embedding, words, smoothing)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(plain, F.cross_entropy(features @ embedding.T, words))
    for own, right in zip(torch.autograd.grad(3 * loss, (features, embedding)), gradients, strict=True):
        torch.testing.assert_close(own, right)


@every_network
def test_half_precision_trains_too(name):
    network = make(name)
    with torch.autocast("cpu", torch.bfloat16):
        features = network(SOURCE, TARGET[:, :-1]).flatten(0, 1)
        loss, _ = ChunkedCrossEntropy.apply(features, network.embedding.weight, TARGET[:, 1:].flatten(), 0.1)
    loss.backward()
    assert loss.dtype == torch.float32 and network.embedding.weight.grad.isfinite().all()


@pytest.mark.parametrize(
    ("network", "message"),
    [
        ({"class": "Decoding"}, "unknown class 'Decoding'\..* Available: Seq2Seq, Transformer"),
        ({"attention": True}, "unknown class None"),
        ({**NETWORKS["attention"], "widht": 3}, "no key 'widht' here; did you mean 'width'"),
    ],
)
def test_a_network_that_is_none_is_refused(network, message):
    with pytest.raises(UserError, match=message):
        build_network(network, module.NETWORKS, 20)
