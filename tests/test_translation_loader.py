"""Test that batches contain each sentence pair once per epoch, within the token limit and in a repeatable order."""

import numpy as np
import pytest

from lectern.errors import UserError
from lectern.tasks.translation.model import loader
from translation_toy import make_processed


def make_loader(count: int = 157, tokens: int = 120, seed: int = 3, shuffle: bool = True) -> loader.PairLoader:
    """Return a loader of pairs of similar length. The first id of both sides identifies the pair."""
    random = np.random.default_rng(0)
    lengths = random.integers(3, 20, count)
    source, target = (
        loader.PackedSequences(
            [np.array([pair + 10, *[5] * (length + random.integers(-1, 2))]) for pair, length in enumerate(lengths)]
        )
        for _ in range(2)
    )
    return loader.PairLoader(source, target, tokens=tokens, round_to=2, shuffle=shuffle, seed=seed)


def pairs_of(batch: loader.Batch) -> list[int]:
    """Return the indices of the pairs in a batch, and check that each source has the target of the same pair."""
    assert batch[0][:, 0].tolist() == batch[1][:, 0].tolist()
    return (batch[0][:, 0] - 10).tolist()


@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_each_pair_occurs_once_per_epoch_over_all_ranks(monkeypatch, world_size):
    pairs, loss_weights = [], []
    for rank in range(world_size):
        monkeypatch.setattr(loader, "rank_and_world_size", lambda rank=rank: (rank, world_size))
        batches = list(make_loader())
        pairs += [pair for batch in batches if batch[2] > 0 for pair in pairs_of(batch)]
        loss_weights.append([batch[2] for batch in batches])
    assert sorted(pairs) == list(range(157))
    # With this weight, the mean over ranks of (mean loss * weight) is the mean loss over all target tokens.
    assert np.allclose(np.sum(loss_weights, 0), world_size)


def test_batches_respect_the_token_limit_and_contain_little_padding():
    batches = list(make_loader(count=3000, tokens=1000))
    sizes = [source.numel() + target[:, 1:].numel() for source, target, _ in batches]
    padding = [int((source == 0).sum() + (target == 0).sum()) for source, target, _ in batches]
    assert max(sizes) <= 1000
    assert sum(padding) / sum(sizes) < 0.08


def test_the_order_differs_between_epochs_and_seeds_and_is_repeatable():
    def order(seed: int, epoch: int) -> list[list[int]]:
        pairs = make_loader(seed=seed)
        pairs.sampler.set_epoch(epoch)
        return [pairs_of(batch) for batch in pairs]

    assert order(3, 1) == order(3, 1)
    assert order(3, 1) != order(3, 2)
    assert order(3, 2) != order(4, 2)
    assert len(order(3, 1)) == len(order(3, 2)) == len(order(4, 1)) == len(make_loader())
    # The batches also contain other pairs, so not only the order of the batches changes.
    assert sorted(map(sorted, order(3, 1))) != sorted(map(sorted, order(3, 2)))


def test_a_restored_loader_continues_with_the_next_batch():
    uninterrupted = make_loader()
    uninterrupted.set_epoch(2)
    expected = [pairs_of(batch) for batch in uninterrupted]
    interrupted, resumed = make_loader(), make_loader()
    interrupted.set_epoch(2)
    iterator = iter(interrupted)
    first_batches = [pairs_of(next(iterator)) for _ in range(3)]
    resumed.load_state_dict(interrupted.state_dict())
    resumed.set_epoch(2)  # Lightning sets the epoch after it has restored the state of the loader.
    assert first_batches + [pairs_of(batch) for batch in resumed] == expected
    with pytest.raises(ValueError, match="different batches"):
        make_loader(tokens=200).load_state_dict(interrupted.state_dict())


def test_validation_batches_are_the_same_in_every_epoch(tmp_path):
    batches = loader.load(make_processed(tmp_path), "validation", seed=1, tokens=400)
    first_epoch = [batch[0].tolist() for batch in batches]
    batches.set_epoch(5)
    assert [batch[0].tolist() for batch in batches] == first_epoch


def test_a_pair_larger_than_a_batch_is_rejected():
    with pytest.raises(UserError, match="batches.tokens is 20, but the longest pair has 42 tokens"):
        make_loader(tokens=20)
