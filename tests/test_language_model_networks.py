"""Test the character networks and the module that trains them."""

import pytest
import pytorch_lightning as pl
import torch

from language_model_texts import make_processed
from lectern.artifacts import model_folder
from lectern.errors import UserError
from lectern.tasks.language_model.model import loader
from lectern.tasks.language_model.model.loader import IGNORE_INDEX, load
from lectern.tasks.language_model.model.module import CharacterModel
from lectern.tasks.language_model.model.networks import RecurrentNetwork, TransformerNetwork

FACTS = {"alphabet": "abcdefghijk", "prepare": {"normal_form": "NFC"}}
RNN, LSTM, GRU = (
    {"class": "RecurrentNetwork", "cell": cell, "layers": 2, "hidden": 16} for cell in ("rnn", "lstm", "gru")
)
TRANSFORMER = {"class": "TransformerNetwork", "layers": 2, "width": 16, "heads": 2, "memory": 12}
NETWORKS = [RNN, LSTM, GRU, TRANSFORMER]


def network_id(network: dict) -> str:
    return network.get("cell", "transformer")


def make_module(network: dict, facts: dict = FACTS) -> CharacterModel:
    torch.manual_seed(1)
    return CharacterModel(facts, network, learning_rate=0.01)


def cross_entropy(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten()).detach()


@pytest.mark.parametrize("network", NETWORKS, ids=network_id)
def test_network_gives_logits_for_the_alphabet_and_the_unknown_character(network):
    module = make_module(network)
    logits, state = module(torch.zeros(3, 7, dtype=torch.long))
    assert logits.shape == (3, 7, 12)
    assert state.shape == module.network.initial_state(3).shape


@pytest.mark.parametrize("length", [1, 30])
@pytest.mark.parametrize("network", NETWORKS, ids=network_id)
def test_reading_a_text_in_pieces_gives_the_same_logits_and_state_as_reading_it_at_once(network, length):
    module, ids = make_module(network).eval(), torch.randint(0, 12, (2, 100))
    expected_logits, expected_state = module(ids)
    pieces, state = [], None
    for piece in ids.split(length, 1):
        logits, state = module(piece, state)
        pieces.append(logits)
    torch.testing.assert_close(torch.cat(pieces, 1), expected_logits, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(state, expected_state, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("network", NETWORKS, ids=network_id)
def test_logits_do_not_depend_on_later_characters(network):
    module, ids = make_module(network).eval(), torch.randint(1, 12, (1, 20))
    changed_ids = ids.clone()
    changed_ids[0, 10] = 0
    logits, changed_logits = module(ids)[0], module(changed_ids)[0]
    torch.testing.assert_close(logits[:, :10], changed_logits[:, :10])
    assert not torch.allclose(logits[:, 10:], changed_logits[:, 10:])


def test_transformer_layer_does_not_depend_on_characters_before_its_memory():
    module, ids = make_module({**TRANSFORMER, "layers": 1}).eval(), torch.randint(1, 12, (1, 40))
    changed_ids = ids.clone()
    changed_ids[0, 5] = 0
    logits, changed_logits = module(ids)[0], module(changed_ids)[0]
    # Position 5 is 12 characters before position 17.
    torch.testing.assert_close(logits[:, 18:], changed_logits[:, 18:])
    assert not torch.allclose(logits[:, 17], changed_logits[:, 17])


def test_transformer_state_depends_on_distances_and_not_on_positions():
    network = TransformerNetwork(12, layers=1, width=16, heads=2, memory=5).eval()
    ids = torch.randint(1, 12, (1, 6))
    _, state = network(ids, network.initial_state(1))
    ids_at_later_positions = torch.cat([torch.randint(1, 12, (1, 9)), ids], 1)
    _, later_state = network(ids_at_later_positions, network.initial_state(1))
    torch.testing.assert_close(state, later_state)  # In both texts, the state belongs to the last five characters.


def test_network_of_the_lecture_has_4107345_parameters():
    network = RecurrentNetwork(81, "gru", layers=3, hidden=512)
    assert sum(weight.numel() for weight in network.parameters()) == 4_107_345


@pytest.mark.parametrize("network", NETWORKS, ids=network_id)
def test_module_overfits_one_batch(network):
    module, ids = make_module(network), torch.randint(1, 12, (4, 21))
    optimizer = torch.optim.AdamW(module.parameters(), 0.01)
    for _ in range(150):
        module.on_train_epoch_start()
        loss = module.training_step((ids[:, :-1], ids[:, 1:], 1.0), 0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1


def test_state_is_passed_to_the_next_batch_and_reset_at_the_start_of_an_epoch():
    module, ids = make_module(GRU), torch.randint(1, 12, (4, 11))
    batch = (ids[:, :-1], ids[:, 1:], 1.0)
    module.training_step(batch, 0)
    state = module.resume_state["hidden"]
    assert state.abs().sum() > 0
    assert not state.requires_grad
    module.training_step(batch, 1)
    logits, _ = module(ids[:, :-1], state)
    assert not torch.equal(module.resume_state["hidden"], state)
    torch.testing.assert_close(module.step_metrics["loss"], cross_entropy(logits, ids[:, 1:]))
    module.on_train_epoch_start()
    assert "hidden" not in module.resume_state


def test_ignored_targets_do_not_change_the_loss():
    module, ids = make_module(GRU), torch.randint(1, 12, (4, 11))
    targets = ids[:, 1:].clone()
    targets[0] = IGNORE_INDEX
    module.training_step((ids[:, :-1], targets, 1.0), 0)
    logits, _ = module(ids[1:, :-1])
    torch.testing.assert_close(module.step_metrics["loss"], cross_entropy(logits, ids[1:, 1:]))


@pytest.mark.parametrize("network", NETWORKS, ids=network_id)
def test_model_folder_is_enough_to_rebuild_the_network(tmp_path, network):
    module, ids = make_module(network).eval(), torch.randint(0, 12, (1, 30))
    model_folder.save_model(module, tmp_path)
    assert torch.equal(model_folder.load_model(tmp_path)(ids)[0], module(ids)[0])


def test_training_lowers_the_validation_loss_and_samples_do_not_change_the_random_state(tmp_path):
    processed, facts = make_processed(tmp_path)
    module = make_module(GRU, facts)
    train, validation = (load(processed, split, 1, batch_size=4, unroll=10) for split in ("train", "validation"))
    trainer = pl.Trainer(
        max_epochs=6, accelerator="cpu", logger=False, num_sanity_val_steps=0, enable_progress_bar=False,
        enable_model_summary=False, enable_checkpointing=False,
    )  # fmt: skip
    trainer.fit(module, train, validation)
    assert float(trainer.callback_metrics["validation_loss"]) < 2.9  # Random guessing gives a loss of ln 33 = 3.5.
    module.train()
    random_state = torch.get_rng_state()
    assert len(module.text_samples()["sample"]) == 300
    assert torch.equal(torch.get_rng_state(), random_state)
    assert module.training


def test_two_ranks_compute_the_same_gradient_as_one(monkeypatch, tmp_path):
    processed, facts = make_processed(tmp_path)

    def compute_gradient(rank: int, world_size: int) -> torch.Tensor:
        monkeypatch.setattr(loader, "rank_and_world_size", lambda: (rank, world_size))
        module = make_module(GRU, facts)
        for index, batch in enumerate(load(processed, "train", 1, batch_size=5, unroll=10)):
            module.training_step(batch, index).backward()
        return torch.cat([weight.grad.flatten() for weight in module.parameters()])

    mean_gradient = (compute_gradient(0, 2) + compute_gradient(1, 2)) / 2
    torch.testing.assert_close(mean_gradient, compute_gradient(0, 1), atol=1e-5, rtol=1e-3)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (
            {"class": "RecurrentNetwork", "cell": "gro", "layers": 1, "hidden": 8},
            "cell is 'gro'; expected 'rnn', 'lstm' or 'gru'",
        ),
        ({"class": "RecurrentNetwork", "cell": "gru", "layers": 1, "hiden": 8}, "did you mean 'hidden'"),
        ({"class": "UnknownNetwork"}, "RecurrentNetwork, TransformerNetwork"),
        (
            {"class": "RecurrentNetwork", "cell": "gru", "layers": 1, "hidden": 8, "dropout": 1.0},
            "dropout is 1.0; expected a number less than 1",
        ),
        ({**TRANSFORMER, "heads": 5}, "width is 16; it must be a multiple of 10"),
    ],
)
def test_wrong_network_section_is_an_error(network, message):
    with pytest.raises(UserError, match=message):
        make_module(network)
