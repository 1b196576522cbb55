"""Test each network: padding has no effect, stepwise and parallel features agree, and one batch can be learned."""

import pytest
import torch
from torch.nn import functional as F

from lectern.errors import UserError
from lectern.tasks.translation.data.format.vocabulary import BOS, EOS, PAD
from lectern.tasks.translation.model import module
from lectern.tasks.translation.model.loss import ChunkedCrossEntropy, chunked_cross_entropy
from lectern.tasks.translation.model.recurrent import AdditiveAttention, Encoder
from lectern.tasks.translation.model.transformer import Transformer
from lectern.training.network_factory import build_network
from translation_toy import NETWORKS

SOURCE = torch.tensor([[5, 6, 7, 8, EOS], [9, 5, EOS, PAD, PAD]])
TARGET = torch.tensor([[BOS, 10, 11, 12, EOS], [BOS, 13, EOS, PAD, PAD]])
every_network = pytest.mark.parametrize("name", NETWORKS)
recurrent_networks = pytest.mark.parametrize("name", ["seq2seq", "attention"])


def make_network(name: str):
    torch.manual_seed(1)
    return build_network(NETWORKS[name], module.NETWORKS, 20).eval()


@every_network
def test_padding_does_not_change_the_features(name):
    network = make_network(name)
    batched = network(SOURCE, TARGET[:, :-1])
    single = network(SOURCE[1:, :3], TARGET[1:, :2])
    torch.testing.assert_close(batched[1, :2], single[0], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("name", ["attention", "transformer"])
def test_padding_gets_no_attention_and_the_other_tokens_get_all(name):
    weights = make_network(name).attention_weights(SOURCE, TARGET[:, :-1])
    assert (weights[1, ..., 3:] == 0).all() and (weights[0] > 0).all()
    torch.testing.assert_close(weights.sum(4), torch.ones(weights.shape[:4]))


def test_a_network_without_attention_has_no_attention_weights():
    assert make_network("seq2seq").attention_weights(SOURCE, TARGET) is None


def test_a_decoder_without_attention_receives_only_one_vector():
    memory, _ = make_network("seq2seq").start(SOURCE)
    assert {name: value.shape for name, value in memory.items()} == {"context": (2, 32)}


@every_network
def test_padding_has_no_loss_and_no_gradient(name):
    network = make_network(name)
    is_token = TARGET[:, 1:] != PAD
    features = network(SOURCE, TARGET[:, :-1])[is_token]
    loss, _ = chunked_cross_entropy(features, network.embedding.weight, TARGET[:, 1:][is_token], 0.0)
    loss.backward()
    logits = network.logits(network(SOURCE, TARGET[:, :-1])).flatten(0, 1)
    torch.testing.assert_close(loss, F.cross_entropy(logits, TARGET[:, 1:].flatten(), ignore_index=PAD))
    gradient = network.embedding.weight.grad.clone()
    network.zero_grad()
    padded_source, padded_target = F.pad(SOURCE, (0, 4)), F.pad(TARGET, (0, 4))
    is_token = padded_target[:, 1:] != PAD
    features = network(padded_source, padded_target[:, :-1])[is_token]
    chunked_cross_entropy(features, network.embedding.weight, padded_target[:, 1:][is_token], 0.0)[0].backward()
    torch.testing.assert_close(network.embedding.weight.grad, gradient, atol=1e-6, rtol=1e-4)


@every_network
def test_stepwise_features_equal_the_features_of_all_positions(name):
    network = make_network(name)
    memory, state = network.start(SOURCE)
    steps = []
    for position in range(4):
        features, state = network.step(memory, state, TARGET[:, position])
        steps.append(features)
    torch.testing.assert_close(torch.stack(steps, 1), network(SOURCE, TARGET[:, :-1]), atol=1e-6, rtol=1e-5)


@every_network
def test_features_do_not_depend_on_later_tokens(name):
    network = make_network(name)
    changed_target = TARGET.clone()
    changed_target[:, 2:] = 15
    features, changed_features = network(SOURCE, TARGET), network(SOURCE, changed_target)
    torch.testing.assert_close(features[:, :2], changed_features[:, :2])
    assert not torch.allclose(features[:, 2:], changed_features[:, 2:])


@every_network
def test_features_depend_on_every_source_token(name):
    network = make_network(name)
    for position in range(5):
        changed_source = SOURCE.clone()
        changed_source[0, position] = 15
        assert not torch.allclose(network(SOURCE, TARGET)[0], network(changed_source, TARGET)[0]), position


@recurrent_networks
def test_teacher_forcing_of_zero_ignores_the_target_and_one_reads_all_of_it(name):
    network = make_network(name)
    wrong_target = torch.full_like(TARGET, 15)
    wrong_target[:, 0] = BOS
    torch.testing.assert_close(network(SOURCE, TARGET, 0.0), network(SOURCE, wrong_target, 0.0))
    assert not torch.allclose(network(SOURCE, TARGET, 1.0), network(SOURCE, wrong_target, 1.0))


@recurrent_networks
def test_without_teacher_forcing_the_decoder_reads_its_most_probable_tokens(name):
    network = make_network(name)
    predicted = TARGET[:, :1]
    for _ in range(4):
        next_token = network.logits(network(SOURCE, predicted))[:, -1:].argmax(2)
        predicted = torch.cat([predicted, next_token], 1)
    torch.testing.assert_close(network(SOURCE, TARGET, 0.0), network(SOURCE, predicted, 1.0))


@recurrent_networks
def test_teacher_forcing_is_the_share_of_target_tokens_that_are_read(name, monkeypatch):
    network, inputs = make_network(name), []
    monkeypatch.setattr(network, "greedy_next", lambda state: torch.full((len(state["hidden"]),), 19))
    advance = network.advance

    def record_input(memory, state, embedded):
        inputs.append(embedded)
        return advance(memory, state, embedded)

    monkeypatch.setattr(network, "advance", record_input)
    network(SOURCE[:1].expand(50, -1), torch.full((50, 40), 3), 0.3)
    is_target = torch.stack([(embedded == network.embedding.weight[3]).all(1) for embedded in inputs[1:]])
    assert 0.25 < is_target.float().mean() < 0.35


@every_network
def test_a_network_can_memorize_one_batch(name):
    network = make_network(name).train()
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    is_token = TARGET[:, 1:] != PAD
    for _ in range(60):
        features = network(SOURCE, TARGET[:, :-1])[is_token]
        loss, plain = chunked_cross_entropy(features, network.embedding.weight, TARGET[:, 1:][is_token], 0.0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert plain < 0.05


def test_the_backward_gru_starts_at_the_last_token_and_not_at_the_padding():
    torch.manual_seed(0)
    encoder, embedded = Encoder(8, 12), torch.randn(2, 5, 8)
    outputs, final = encoder(embedded, torch.tensor([5, 3]))
    short_outputs, short_final = encoder(embedded[1:, :3], torch.tensor([3]))
    torch.testing.assert_close(outputs[1:, :3], short_outputs)
    torch.testing.assert_close(final[1:], short_final)
    backward_outputs = encoder.backward_gru(embedded[:1].flip(1))[0].flip(1)
    torch.testing.assert_close(outputs[:1, :, 6:], backward_outputs)


def test_additive_attention_returns_the_weighted_mean_of_the_values():
    torch.manual_seed(0)
    attention, values = AdditiveAttention(4), torch.randn(1, 3, 4)
    is_padding = torch.zeros(1, 3, dtype=torch.bool)
    context, weights = attention(torch.randn(1, 4), attention.key(values), values, is_padding)
    torch.testing.assert_close(weights.sum(1), torch.ones(1))
    torch.testing.assert_close(context[0], (weights[0, :, None] * values[0]).sum(0))


def test_the_transformer_has_the_2_6_million_parameters_of_the_literature():
    network = Transformer(10_000, hidden_size=128, feed_forward_size=256, heads=4, layers=4)
    assert sum(parameter.numel() for parameter in network.parameters()) == 2_605_568


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_chunked_loss_equals_cross_entropy_including_its_gradient(smoothing, monkeypatch):
    monkeypatch.setattr(ChunkedCrossEntropy, "CHUNK_SIZE", 3)
    torch.manual_seed(0)
    features, embedding = torch.randn(7, 4, requires_grad=True), torch.randn(11, 4, requires_grad=True)
    targets = torch.randint(0, 11, (7,))
    expected = F.cross_entropy(features @ embedding.T, targets, label_smoothing=smoothing)
    expected_gradients = torch.autograd.grad(3 * expected, (features, embedding))
    loss, plain = chunked_cross_entropy(features, embedding, targets, smoothing)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(plain, F.cross_entropy(features @ embedding.T, targets))
    for gradient, expected_gradient in zip(
        torch.autograd.grad(3 * loss, (features, embedding)), expected_gradients, strict=True
    ):
        torch.testing.assert_close(gradient, expected_gradient)


@every_network
def test_bfloat16_autocast_gives_a_float32_loss_and_finite_gradients(name):
    network = make_network(name)
    with torch.autocast("cpu", torch.bfloat16):
        features = network(SOURCE, TARGET[:, :-1]).flatten(0, 1)
        loss, _ = chunked_cross_entropy(features, network.embedding.weight, TARGET[:, 1:].flatten(), 0.1)
    loss.backward()
    assert loss.dtype == torch.float32 and network.embedding.weight.grad.isfinite().all()


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"class": "EncoderDecoder"}, r"unknown class 'EncoderDecoder'.* Available: Seq2Seq, Transformer"),
        ({"attention": True}, "unknown class None"),
        ({**NETWORKS["attention"], "hiden_size": 3}, "unknown key 'hiden_size'; did you mean 'hidden_size'"),
    ],
)
def test_an_invalid_network_section_is_rejected(section, message):
    with pytest.raises(UserError, match=message):
        build_network(section, module.NETWORKS, 20)
