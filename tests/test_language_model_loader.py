"""Test the parallel streams in which the loader reads a text."""

import numpy as np
import pytest
import torch

from language_model_texts import make_processed
from lectern.errors import UserError
from lectern.tasks.language_model.model import loader
from lectern.tasks.language_model.model.loader import IGNORE_INDEX, TextStreams, load

TEXT = torch.arange(1, 1004, dtype=torch.int16)  # All ids differ, so each id shows its position in the text.


def read_batches(streams: TextStreams, epoch: int = 0) -> list:
    streams.set_epoch(epoch)
    return list(streams)


def collect_targets(batches: list) -> list[int]:
    return [int(target) for _, targets, _ in batches for target in targets.flatten() if target != IGNORE_INDEX]


def set_rank(monkeypatch, rank: int, world_size: int) -> None:
    monkeypatch.setattr(loader, "rank_and_world_size", lambda: (rank, world_size))


def test_row_of_a_batch_continues_the_same_row_of_the_batch_before():
    batches = read_batches(TextStreams(TEXT, 7, 30, random_start=True, seed=3))
    for (_, targets, _), (ids, _, _) in zip(batches, batches[1:], strict=False):
        assert torch.equal(targets[:, -1], ids[:, 0])


def test_target_is_the_character_after_its_id():
    for ids, targets, _ in read_batches(TextStreams(TEXT, 7, 30, random_start=True, seed=3)):
        counted = targets != IGNORE_INDEX
        assert torch.equal(ids[counted] % len(TEXT) + 1, targets[counted])


@pytest.mark.parametrize("world_size", [1, 2, 4])
@pytest.mark.parametrize("streams", [4, 7])
def test_each_character_is_a_target_exactly_once_per_epoch_over_all_ranks(monkeypatch, world_size, streams):
    for epoch in (0, 1):
        targets = []
        for rank in range(world_size):
            set_rank(monkeypatch, rank, world_size)
            targets += collect_targets(read_batches(TextStreams(TEXT, streams, 30, random_start=True, seed=3), epoch))
        assert sorted(targets) == TEXT.tolist()


def test_ranks_split_the_rows_of_a_batch_and_their_loss_weights_are_proportional_to_their_targets(monkeypatch):
    batches = read_batches(TextStreams(TEXT, 7, 30, random_start=True))
    rank_batches = []
    for rank in range(2):
        set_rank(monkeypatch, rank, 2)
        rank_batches.append(read_batches(TextStreams(TEXT, 7, 30, random_start=True)))
    for (ids, targets, weight), (ids_0, targets_0, weight_0), (ids_1, _, weight_1) in zip(
        batches, *rank_batches, strict=True
    ):
        assert torch.equal(ids, torch.cat([ids_0, ids_1]))
        assert weight == 1
        share = (targets_0 != IGNORE_INDEX).sum().item() / (targets != IGNORE_INDEX).sum().item()
        assert weight_0 == pytest.approx(2 * share)
        assert weight_0 + weight_1 == pytest.approx(2)


def test_start_position_depends_on_seed_and_epoch():
    first_ids = {
        (seed, epoch): int(read_batches(TextStreams(TEXT, 4, 30, random_start=True, seed=seed), epoch)[0][0][0, 0])
        for seed in (0, 1)
        for epoch in (0, 1, 2)
    }
    assert len(set(first_ids.values())) == len(first_ids)


def test_epoch_can_be_set_between_the_creation_of_the_iterator_and_the_first_batch():
    streams = TextStreams(TEXT, 4, 30, random_start=True)
    iterator = iter(streams)
    streams.set_epoch(5)
    assert torch.equal(next(iterator)[0], read_batches(TextStreams(TEXT, 4, 30, random_start=True), 5)[0][0])


def test_resumed_epoch_gives_the_remaining_batches():
    interrupted, resumed = TextStreams(TEXT, 4, 30, random_start=True), TextStreams(TEXT, 4, 30, random_start=True)
    iterator = iter(interrupted)
    for _ in range(3):
        next(iterator)
    resumed.load_state_dict(interrupted.state_dict())
    remaining = read_batches(resumed)
    assert collect_targets(remaining) == collect_targets(list(iterator))
    assert len(remaining) == len(interrupted) - 3


def test_lengths_of_batches_differ_by_at_most_one():
    batches = read_batches(TextStreams(TEXT, 7, 30))
    lengths = {ids.shape[1] for ids, _, _ in batches}
    assert max(lengths) <= 30
    assert max(lengths) - min(lengths) <= 1
    assert len(batches) == len(TextStreams(TEXT, 7, 30))


def test_only_the_training_split_has_a_random_start(tmp_path):
    processed, _ = make_processed(tmp_path)
    train = load(processed, "train", seed=1, batch_size=4, unroll=10)
    validation = load(processed, "validation", seed=1, batch_size=4, unroll=10)
    assert train.offset() != 0
    assert validation.offset() == 0
    assert len(collect_targets(read_batches(validation))) == len(np.load(processed / "validation.npy"))


def test_text_shorter_than_one_batch_is_an_error(tmp_path):
    processed, _ = make_processed(tmp_path)
    with pytest.raises(UserError, match="one batch of 200 streams with 30 characters each needs 6,000"):
        load(processed, "train", seed=1, batch_size=200, unroll=30)
