"""Batches in memory: an order that seed and epoch decide, each row once, on however many processes."""

import itertools

import numpy as np
import pytest
import torch

from lectern.training import loader as batches
from lectern.training.loader import InMemoryLoader


def rows(count: int = 97, batch_size: int = 10, **more) -> InMemoryLoader:
    return InMemoryLoader(torch.arange(count), torch.arange(count) * 2, batch_size=batch_size, **more)


def numbers(loader: InMemoryLoader, epoch: int = 0) -> list[int]:
    loader.sampler.set_epoch(epoch)
    return [number for first, *_ in loader for number in first.tolist()]


def on_ranks(monkeypatch, world: int, make) -> list[list[tuple]]:
    """What each of `world` processes gets."""
    got = []
    for rank in range(world):
        monkeypatch.setattr(batches, "rank_and_world_size", lambda rank=rank: (rank, world))
        got.append(list(make()))
    return got


def test_every_row_comes_once_and_with_its_own_label():
    for first, second, share in rows(shuffle=True):
        assert torch.equal(second, first * 2) and share == 1.0
    assert sorted(numbers(rows(shuffle=True))) == list(range(97))


def test_without_shuffling_rows_come_as_they_lie():
    assert numbers(rows()) == numbers(rows(), epoch=5) == list(range(97))


def test_the_order_differs_between_epochs_and_between_seeds():
    orders = [numbers(rows(shuffle=True, seed=seed), epoch) for seed, epoch in itertools.product((7, 8), range(3))]
    assert len({tuple(order) for order in orders}) == 6


def test_seeds_that_agree_in_their_low_bits_have_their_own_orders():
    """A torch generator keeps 32 bits: `seed << 32 | epoch` would give every seed the same order."""
    low, high = (numbers(rows(shuffle=True, seed=seed)) for seed in (7, 7 + 2**32))
    assert low != high


def test_the_order_depends_on_seed_and_epoch_alone():
    loader = rows(shuffle=True, seed=7)
    in_turn = [numbers(loader, epoch) for epoch in range(3)]
    torch.manual_seed(123)
    np.random.seed(123)
    assert numbers(rows(shuffle=True, seed=7), epoch=2) == in_turn[2]


def test_an_epoch_told_after_iter_still_counts():
    """Lightning calls iter() at set-up, before it tells the epoch."""
    loader = rows(shuffle=True)
    iterator = iter(loader)
    loader.sampler.set_epoch(3)
    assert [number for first, *_ in iterator for number in first.tolist()] == numbers(rows(shuffle=True), epoch=3)


@pytest.mark.parametrize(("count", "batches_of_ten"), [(90, 9), (91, 10), (100, 10)])
def test_the_length_is_the_number_of_batches(count, batches_of_ten):
    assert len(rows(count)) == len(list(rows(count))) == batches_of_ten


@pytest.mark.parametrize("done", range(1, 10))
def test_a_loader_goes_on_where_another_stopped(done):
    whole = [first.tolist() for first, *_ in rows(shuffle=True, seed=3)]
    stopped, resumed = rows(shuffle=True, seed=3), rows(shuffle=True, seed=3)
    for _ in itertools.islice(stopped, done):
        pass
    resumed.load_state_dict(stopped.state_dict())
    assert [first.tolist() for first, *_ in resumed] == whole[done:]
    assert [first.tolist() for first, *_ in resumed] == whole  # the epoch after starts at its start


def test_a_place_at_the_end_of_an_epoch_is_the_start_of_the_next():
    """Restored literally, `10 of 10 done` would leave the whole next epoch empty."""
    loader = rows()
    list(loader)
    other = rows()
    other.load_state_dict(loader.state_dict())
    assert numbers(other) == list(range(97))


@pytest.mark.parametrize("other", [{"count": 96}, {"batch_size": 11}, {"seed": 1}], ids=str)
def test_a_checkpoint_of_other_batches_is_rejected(other):
    with pytest.raises(ValueError, match="the checkpoint has different batches"):
        rows(**other).load_state_dict(rows().state_dict())


@pytest.mark.parametrize("count", [97, 91, 3])  # the last batch is of 7 rows, of 1, and the only one
@pytest.mark.parametrize("world", [2, 4])
def test_each_row_goes_to_one_process_and_batches_are_as_for_one(monkeypatch, count, world):
    whole = [first.tolist() for first, *_ in rows(count, shuffle=True)]
    ranks = on_ranks(monkeypatch, world, lambda: rows(count, shuffle=True))
    together = [sum((first.tolist() for first, _, share in parts if share), []) for parts in zip(*ranks, strict=True)]
    assert together == whole
    assert all(len(first) for parts in ranks for first, *_ in parts)  # modules need not know of empty parts


@pytest.mark.parametrize("world", [1, 2, 4])
def test_shares_make_the_average_over_processes_the_mean_over_rows(monkeypatch, world):
    values = torch.linspace(-3, 5, 97)
    ranks = on_ranks(monkeypatch, world, lambda: InMemoryLoader(values, batch_size=10))
    for step, parts in enumerate(zip(*ranks, strict=True)):
        losses = [part.mean() * share for part, share in parts]
        mean = values[step * 10 : step * 10 + 10].mean()
        torch.testing.assert_close(sum(losses) / world, mean, rtol=1e-5, atol=1e-6)
