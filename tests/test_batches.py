"""Test the in-memory loader: the order of rows, resuming within an epoch, and batches on several processes."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from lectern.training import loader as loader_module
from lectern.training.loader import InMemoryLoader


def make_loader(count: int = 97, batch_size: int = 10, **options: Any) -> InMemoryLoader:
    """Return a loader of the row indices and of labels that are twice the row index."""
    return InMemoryLoader(torch.arange(count), torch.arange(count) * 2, batch_size=batch_size, **options)


def row_numbers(loader: InMemoryLoader, epoch: int = 0) -> list[int]:
    """Return the row indices of one epoch in the order in which the loader returns the rows."""
    loader.sampler.set_epoch(epoch)
    return sum(rows_by_batch(loader), [])


def rows_by_batch(loader: InMemoryLoader) -> list[list[int]]:
    """Return the row indices of each batch of the next epoch."""
    return [rows.tolist() for rows, *_ in loader]


def batches_by_rank(monkeypatch, world_size: int, make: Callable[[], InMemoryLoader]) -> list[list[tuple]]:
    """Return the batches that each process of a distributed training receives."""
    batches = []
    for rank in range(world_size):
        monkeypatch.setattr(loader_module, "rank_and_world_size", lambda rank=rank: (rank, world_size))
        batches.append(list(make()))
    return batches


def test_every_row_is_loaded_once_with_its_label():
    for rows, labels, loss_weight in make_loader(shuffle=True):
        assert torch.equal(labels, rows * 2) and loss_weight == 1.0
    assert sorted(row_numbers(make_loader(shuffle=True))) == list(range(97))


def test_rows_keep_their_order_without_shuffling():
    assert row_numbers(make_loader()) == row_numbers(make_loader(), epoch=5) == list(range(97))


def test_the_order_differs_between_epochs_and_between_seeds():
    cases = itertools.product((7, 8), range(3))
    orders = [row_numbers(make_loader(shuffle=True, seed=seed), epoch) for seed, epoch in cases]
    assert len({tuple(order) for order in orders}) == 6


def test_seeds_with_equal_low_bits_give_different_orders():
    """A random number generator of PyTorch uses only 32 bits.

    Therefore the seed `seed << 32 | epoch` would give the same order for every value of `seed`.
    """
    low, high = (row_numbers(make_loader(shuffle=True, seed=seed)) for seed in (7, 7 + 2**32))
    assert low != high


def test_the_order_depends_only_on_seed_and_epoch():
    loader = make_loader(shuffle=True, seed=7)
    orders = [row_numbers(loader, epoch) for epoch in range(3)]
    torch.manual_seed(123)
    np.random.seed(123)
    assert row_numbers(make_loader(shuffle=True, seed=7), epoch=2) == orders[2]


def test_an_epoch_that_is_set_after_iter_is_used():
    """Lightning calls iter() of the loader during setup, before Lightning sets the epoch."""
    loader = make_loader(shuffle=True)
    iterator = iter(loader)
    loader.sampler.set_epoch(3)
    assert [number for rows, *_ in iterator for number in rows.tolist()] == row_numbers(make_loader(shuffle=True), 3)


@pytest.mark.parametrize(("count", "batches"), [(90, 9), (91, 10), (100, 10)])
def test_the_length_is_the_number_of_batches(count, batches):
    assert len(make_loader(count)) == len(list(make_loader(count))) == batches


@pytest.mark.parametrize("done", range(1, 10))
def test_a_resumed_loader_continues_after_the_last_batch(done):
    expected = rows_by_batch(make_loader(shuffle=True, seed=3))
    stopped, resumed = make_loader(shuffle=True, seed=3), make_loader(shuffle=True, seed=3)
    for _ in itertools.islice(stopped, done):
        pass
    resumed.load_state_dict(stopped.state_dict())
    assert rows_by_batch(resumed) == expected[done:]
    assert rows_by_batch(resumed) == expected  # The epoch after the resumed epoch is complete.


def test_a_loader_resumed_at_the_end_of_an_epoch_starts_the_next_epoch():
    """If the loader continued the finished epoch, a checkpoint after batch 10 of 10 would make the next epoch empty."""
    loader, resumed = make_loader(), make_loader()
    list(loader)
    resumed.load_state_dict(loader.state_dict())
    assert row_numbers(resumed) == list(range(97))


@pytest.mark.parametrize("other", [{"count": 96}, {"batch_size": 11}, {"seed": 1}], ids=str)
def test_a_checkpoint_of_different_batches_is_rejected(other):
    with pytest.raises(ValueError, match="the checkpoint has different batches"):
        make_loader(**other).load_state_dict(make_loader().state_dict())


# With these counts, the last batch has 7 rows, has 1 row, or is the only batch.
@pytest.mark.parametrize("count", [97, 91, 3])
@pytest.mark.parametrize("world_size", [2, 4])
def test_processes_together_load_the_batches_of_one_process(monkeypatch, count, world_size):
    expected = rows_by_batch(make_loader(count, shuffle=True))
    ranks = batches_by_rank(monkeypatch, world_size, lambda: make_loader(count, shuffle=True))
    joined = [
        [row for rows, _, loss_weight in slices if loss_weight for row in rows.tolist()]
        for slices in zip(*ranks, strict=True)
    ]
    assert joined == expected
    # No batch is empty, so modules need no code for empty batches.
    assert all(len(rows) for batches in ranks for rows, *_ in batches)


@pytest.mark.parametrize("world_size", [1, 2, 4])
def test_loss_weights_make_the_average_over_processes_the_mean_over_rows(monkeypatch, world_size):
    values = torch.linspace(-3, 5, 97)
    ranks = batches_by_rank(monkeypatch, world_size, lambda: InMemoryLoader(values, batch_size=10))
    for step, slices in enumerate(zip(*ranks, strict=True)):
        losses = [rows.mean() * loss_weight for rows, loss_weight in slices]
        mean = values[step * 10 : step * 10 + 10].mean()
        torch.testing.assert_close(sum(losses) / world_size, mean, rtol=1e-5, atol=1e-6)
