"""Claims on networks that carry a state, and on the module that trains them."""

import pytest
import pytorch_lightning as pl
import torch

from language_model_texts import make_processed
from lectern.artifacts import model_folder
from lectern.errors import UserError
from lectern.tasks.language_model.model import loader
from lectern.tasks.language_model.model.loader import IGNORE_INDEX, load
from lectern.tasks.language_model.model.module import CharacterModel
from lectern.tasks.language_model.model.networks import ByteDropout, RecurrentNetwork, TransformerNetwork

FACTS = {"alphabet": "abcdefghijk", "prepare": {"normal_form": "NFC"}}
RECURRENT = [{"class": "RecurrentNetwork", "cell": cell, "layers": 2, "hidden": 16} for cell in ("rnn", "lstm", "gru")]
TRANSFORMER = {"class": "TransformerNetwork", "layers": 2, "width": 16, "heads": 2, "memory": 12}
NETWORKS = [*RECURRENT, TRANSFORMER]


def name_of(network: dict) -> str:
    return network.get("cell", "transformer")


def make(network: dict, facts: dict = FACTS, **more) -> CharacterModel:
    torch.manual_seed(1)
    return CharacterModel(facts, network, **{"learning_rate": 0.01, **more})


@pytest.mark.parametrize("network", NETWORKS, ids=name_of)
def test_each_character_gets_logits_of_the_alphabet_and_unknown(network):
    logits, state = make(network)(torch.zeros(3, 7, dtype=torch.long))
    assert logits.shape == (3, 7, 12)
    assert state.shape == make(network).network.initial_state(3).shape


@pytest.mark.parametrize("piece", [1, 30])
@pytest.mark.parametrize("network", NETWORKS, ids=name_of)
def test_reading_in_pieces_with_carried_state_equals_reading_in_one_piece(network, piece):
    module, ids = make(network).eval(), torch.randint(0, 12, (2, 100))
    whole, end = module(ids)
    parts, state = [], None
    for part in ids.split(piece, 1):
        logits, state = module(part, state)
        parts.append(logits)
    torch.testing.assert_close(torch.cat(parts, 1), whole, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(state, end, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("network", NETWORKS, ids=name_of)
def test_no_character_sees_what_comes_after_it(network):
    module, ids = make(network).eval(), torch.randint(1, 12, (1, 20))
    changed = ids.clone()
    changed[0, 10] = 0
    before, after = module(ids)[0], module(changed)[0]
    torch.testing.assert_close(before[:, :10], after[:, :10])
    assert not torch.allclose(before[:, 10:], after[:, 10:])


def test_a_transformer_forgets_what_is_further_back_than_its_memories_reach():
    module, ids = make({**TRANSFORMER, "layers": 1}).eval(), torch.randint(1, 12, (1, 40))
    changed = ids.clone()
    changed[0, 5] = 0
    before, after = module(ids)[0], module(changed)[0]
    torch.testing.assert_close(before[:, 18:], after[:, 18:])  # 12 back from place 17 is place 5
    assert not torch.allclose(before[:, 17], after[:, 17])


def test_the_lecture_network_has_its_size():
    network = RecurrentNetwork(81, "gru", layers=3, hidden=512)
    assert sum(weight.numel() for weight in network.parameters()) == 4_107_345


def test_dropout_drops_its_rate_and_keeps_the_mean():
    values = torch.ones(1000, 257)
    dropped = ByteDropout(0.2)(values)
    assert (dropped == 0).float().mean().item() == pytest.approx(0.2, abs=0.003)
    assert dropped.mean().item() == pytest.approx(1, abs=0.005)
    assert torch.equal(ByteDropout(0.2).eval()(values), values)


def test_every_eighth_value_is_dropped_as_often_as_the_others():
    dropped = ByteDropout(0.5)(torch.ones(8 * 20_000)).view(-1, 8) == 0
    assert dropped.float().mean(0).tolist() == pytest.approx([0.5] * 8, abs=0.02)


@pytest.mark.parametrize("network", NETWORKS, ids=name_of)
def test_one_batch_is_learned_by_heart(network):
    module, ids = make(network), torch.randint(1, 12, (4, 21))
    optimizer = torch.optim.AdamW(module.parameters(), 0.01)
    for _ in range(150):
        module.on_train_epoch_start()
        loss = module.training_step((ids[:, :-1], ids[:, 1:], 1.0), 0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1


def test_the_state_goes_on_to_the_next_batch_and_no_further_than_the_epoch():
    module, ids = make(RECURRENT[2]), torch.randint(1, 12, (4, 11))
    batch = (ids[:, :-1], ids[:, 1:], 1.0)
    module.training_step(batch, 0)
    resume_state = module.resume_state["hidden"]
    assert resume_state.abs().sum() > 0
    assert not resume_state.requires_grad
    module.training_step(batch, 1)
    expected, _ = module(ids[:, :-1], resume_state)
    assert not torch.equal(module.resume_state["hidden"], resume_state)
    torch.testing.assert_close(module.step_metrics["loss"], loss_of(expected, ids[:, 1:]))
    module.on_train_epoch_start()
    assert "hidden" not in module.resume_state


def test_targets_to_ignore_count_for_nothing():
    module, ids = make(RECURRENT[2]), torch.randint(1, 12, (4, 11))
    cut = ids[:, 1:].clone()
    cut[0] = IGNORE_INDEX
    module.training_step((ids[:, :-1], cut, 1.0), 0)
    expected, _ = module(ids[1:, :-1])
    torch.testing.assert_close(module.step_metrics["loss"], loss_of(expected, ids[1:, 1:]))


def loss_of(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten()).detach()


@pytest.mark.parametrize("network", NETWORKS, ids=name_of)
def test_model_folder_alone_rebuilds_the_network(tmp_path, network):
    module, ids = make(network).eval(), torch.randint(0, 12, (1, 30))
    model_folder.save_model(module, tmp_path)
    assert torch.equal(model_folder.load_model(tmp_path)(ids)[0], module(ids)[0])


def test_a_training_validates_and_shows_a_sample_without_touching_the_random_state(tmp_path):
    processed, facts = make_processed(tmp_path)
    module = make(RECURRENT[2], facts)
    train, validation = (load(processed, split, 1, batch_size=4, unroll=10) for split in ("train", "validation"))
    trainer = pl.Trainer(
        max_epochs=6, accelerator="cpu", logger=False, num_sanity_val_steps=0, enable_progress_bar=False,
        enable_model_summary=False, enable_checkpointing=False,
    )  # fmt: skip
    trainer.fit(module, train, validation)
    assert float(trainer.callback_metrics["validation_loss"]) < 2.9  # ln 33 is 3.5
    module.train()
    state = torch.get_rng_state()
    assert len(module.show()["sample"]) == 300
    assert torch.equal(torch.get_rng_state(), state)
    assert module.training


def test_two_ranks_learn_what_one_does(monkeypatch, tmp_path):
    processed, facts = make_processed(tmp_path)

    def gradient(rank: int, world: int) -> torch.Tensor:
        monkeypatch.setattr(loader, "rank_and_world_size", lambda: (rank, world))
        module = make(RECURRENT[2], facts)
        for index, batch in enumerate(load(processed, "train", 1, batch_size=5, unroll=10)):
            module.training_step(batch, index).backward()
        return torch.cat([weight.grad.flatten() for weight in module.parameters()])

    torch.testing.assert_close((gradient(0, 2) + gradient(1, 2)) / 2, gradient(0, 1), atol=1e-5, rtol=1e-3)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        ({"class": "RecurrentNetwork", "cell": "gro", "layers": 1, "hidden": 8}, "no cell 'gro'"),
        ({"class": "RecurrentNetwork", "cell": "gru", "layers": 1, "hiden": 8}, "did you mean 'hidden'"),
        ({"class": "Oracle"}, "Available: RecurrentNetwork, TransformerNetwork"),
        ({"class": "RecurrentNetwork", "cell": "gru", "layers": 1, "hidden": 8, "dropout": 1.0}, "below 1"),
        ({**TRANSFORMER, "heads": 5}, "does not split"),
    ],
)
def test_a_wrong_network_is_refused(network, message):
    with pytest.raises(UserError, match=message):
        make(network)


def test_the_transformer_counts_distance_and_not_place():
    network = TransformerNetwork(12, layers=1, width=16, heads=2, memory=5).eval()
    ids = torch.randint(1, 12, (1, 6))
    _, state = network(ids, network.initial_state(1))
    later = torch.cat([torch.randint(1, 12, (1, 9)), ids], 1)
    _, state_later = network(later, network.initial_state(1))
    torch.testing.assert_close(state, state_later)  # the last five, wherever they stand
