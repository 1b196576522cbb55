"""Claims on the streams that a text is read in."""

import numpy as np
import pytest
import torch

from language_model_texts import make_processed
from lectern.errors import UserError
from lectern.tasks.language_model.model import loader
from lectern.tasks.language_model.model.loader import IGNORE_INDEX, TextStreams, load

TEXT = torch.arange(1, 1004, dtype=torch.int16)  # each id once: a target tells its place


def read(streams: TextStreams, epoch: int = 0) -> list:
    streams.set_epoch(epoch)
    return list(streams)


def targets_of(batch_list: list) -> list[int]:
    return [int(target) for _, targets, _ in batch_list for target in targets.flatten() if target != IGNORE_INDEX]


def as_rank(monkeypatch, rank: int, world: int) -> None:
    monkeypatch.setattr(loader, "rank_and_world_size", lambda: (rank, world))


def test_a_row_is_continued_by_the_same_row_of_the_next_batch():
    found = read(TextStreams(TEXT, 7, 30, turn=True, seed=3))
    for (_, targets, _), (ids, _, _) in zip(found, found[1:], strict=False):
        assert torch.equal(targets[:, -1], ids[:, 0])


def test_a_target_is_the_character_after_its_id():
    for ids, targets, _ in read(TextStreams(TEXT, 7, 30, turn=True, seed=3)):
        kept = targets != IGNORE_INDEX
        assert torch.equal(ids[kept] % len(TEXT) + 1, targets[kept])


@pytest.mark.parametrize("world", [1, 2, 4])
@pytest.mark.parametrize("streams", [4, 7])
def test_each_character_is_a_target_exactly_once_an_epoch_over_all_ranks(monkeypatch, world, streams):
    for epoch in (0, 1):
        found = []
        for rank in range(world):
            as_rank(monkeypatch, rank, world)
            found += targets_of(read(TextStreams(TEXT, streams, 30, turn=True, seed=3), epoch))
        assert sorted(found) == TEXT.tolist()


def test_ranks_own_rows_of_the_whole_batch_and_their_share_is_that_of_the_targets(monkeypatch):
    whole = read(TextStreams(TEXT, 7, 30, turn=True))
    parts = []
    for rank in range(2):
        as_rank(monkeypatch, rank, 2)
        parts.append(read(TextStreams(TEXT, 7, 30, turn=True)))
    for (ids, targets, share), (first, of_first, small), (second, _, large) in zip(whole, *parts, strict=True):
        assert torch.equal(ids, torch.cat([first, second]))
        assert share == 1
        assert small == pytest.approx(
            2 * (of_first != IGNORE_INDEX).sum().item() / (targets != IGNORE_INDEX).sum().item()
        )
        assert small + large == pytest.approx(2)


def test_the_cut_is_elsewhere_each_epoch_and_with_each_seed():
    starts = {
        (seed, epoch): int(read(TextStreams(TEXT, 4, 30, turn=True, seed=seed), epoch)[0][0][0, 0])
        for seed in (0, 1)
        for epoch in (0, 1, 2)
    }
    assert len(set(starts.values())) == len(starts)


def test_the_order_is_fixed_at_the_first_batch_and_not_before():
    streams = TextStreams(TEXT, 4, 30, turn=True)
    iterator = iter(streams)
    streams.set_epoch(5)
    assert torch.equal(next(iterator)[0], read(TextStreams(TEXT, 4, 30, turn=True), 5)[0][0])


def test_a_resumed_epoch_gives_the_rest_of_it():
    whole, resumed = TextStreams(TEXT, 4, 30, turn=True), TextStreams(TEXT, 4, 30, turn=True)
    iterator = iter(whole)
    for _ in range(3):
        next(iterator)
    resumed.load_state_dict(whole.state_dict())
    rest = read(resumed)
    assert targets_of(rest) == targets_of(list(iterator))
    assert len(rest) == len(whole) - 3


def test_batches_differ_in_length_by_at_most_one():
    found = read(TextStreams(TEXT, 7, 30))
    lengths = {ids.shape[1] for ids, _, _ in found}
    assert max(lengths) <= 30
    assert max(lengths) - min(lengths) <= 1
    assert len(found) == len(TextStreams(TEXT, 7, 30))


def test_only_the_training_text_is_turned(tmp_path):
    processed, _ = make_processed(tmp_path)
    train = load(processed, "train", seed=1, batch_size=4, unroll=10)
    validation = load(processed, "validation", seed=1, batch_size=4, unroll=10)
    assert train.offset() != 0
    assert validation.offset() == 0
    assert len(targets_of(read(validation))) == len(np.load(processed / "validation.npy"))


def test_a_text_shorter_than_one_batch_of_streams_is_refused(tmp_path):
    processed, _ = make_processed(tmp_path)
    with pytest.raises(UserError, match="one batch of 200 streams of 30 needs 6,000"):
        load(processed, "train", seed=1, batch_size=200, unroll=30)
