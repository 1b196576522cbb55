"""Frames in shards: the same frames and stretches, each once an epoch, every process among its own, to the same end."""

from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

import steering_recordings as recordings
from children import KILLED, at_call, die, in_child
from lectern.artifacts import history_file, model_folder
from lectern.artifacts.dataset import read_facts
from lectern.errors import UserError
from lectern.tasks.steering.data.format import shards
from lectern.tasks.steering.data.preprocess import preprocess
from lectern.tasks.steering.model import loader as batches
from lectern.tasks.steering.model.module import SteeringModel
from lectern.tasks.steering.model.shard_order import LANES, MIXED, in_lanes
from lectern.training import fit
from lectern.training import loader as hall
from lectern.training.checkpointing import ExactResume

SHARD = 0.3  # megabytes: 26 frames of 61 x 61
TRAINER = {"accelerator": "cpu", "devices": 1, "num_nodes": 1, "strategy": "auto", "threads": 1}
BEST = {"metric": "validation_rmse", "mode": "min"}
WINDOWS = {"batch_size": 8, "window": 4, "stretch": 3}


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A recording of 800 frames made ready, training's in one file."""
    raw, folder = tmp_path_factory.mktemp("raw") / "sim", tmp_path_factory.mktemp("processed") / "whole"
    recordings.write_udacity_sim(raw, 800, 350)
    preprocess(raw, folder, "udacity_sim", **recordings.BLOCKS, **recordings.ARGUMENTS)
    return folder


@pytest.fixture(scope="module")
def sharded(whole, tmp_path_factory) -> Path:
    """The same recording with shards."""
    raw, folder = tmp_path_factory.mktemp("raw") / "sim", tmp_path_factory.mktemp("processed") / "sharded"
    recordings.write_udacity_sim(raw, 800, 350)
    preprocess(raw, folder, "udacity_sim", **recordings.BLOCKS, **recordings.ARGUMENTS, shard_megabytes=SHARD)
    return folder


def on_rank(monkeypatch, rank: int, world: int) -> None:
    for module in (hall, batches):
        monkeypatch.setattr(module, "rank_and_world_size", lambda: (rank, world))


def starts(loader: batches.Stretches) -> list[list[int]]:
    """Where the stretches of each batch start, as rows: what a batch is."""
    loader.targets = torch.arange(len(loader.targets), dtype=torch.float32)[:, None]
    return [targets[:, loader.window - 1, 0].long().tolist() if share else [] for _, targets, share in loader]


def test_shards_hold_the_same_frames_and_nothing_else_is_other(whole, sharded):
    facts, before = read_facts(sharded), read_facts(whole)
    sizes = facts.pop("shards")["train"]
    assert len(sizes) == 24 and set(sizes[:-1]) == {26} and sum(sizes) == facts["items"]["train"]
    files, files_before = facts.pop("files"), before.pop("files")
    assert facts == before
    assert {name: digest for name, digest in files.items() if "train_frames" not in name} == {
        name: digest for name, digest in files_before.items() if "train_frames" not in name
    }
    frames, kept = shards.ShardedFrames(sharded / "train_frames", sizes), np.load(whole / "train_frames.npy")
    asked = torch.randint(len(kept), (5, 7))
    assert np.array_equal(frames[asked].numpy(), kept[asked.numpy()]) and np.array_equal(frames[3:29], kept[3:29])


def test_a_shard_is_an_arrow_file_that_any_reader_of_arrow_reads(sharded):
    path = sharded / "train_frames-00001.arrow"
    table = pa.ipc.open_file(path).read_all()
    assert table.schema.field("frame").type == pa.fixed_shape_tensor(pa.uint8(), [61, 61, 3]) and len(table) == 26
    assert path.stat().st_size < 1.05 * SHARD * 1e6


def test_a_stretch_is_the_same_as_without_shards(whole, sharded):
    """With the window before it, over the borders of shards; and none crosses a break."""
    one, other = (batches.load(folder, "train", 7, **WINDOWS) for folder in (whole, sharded))
    assert sorted(sum(starts(one), [])) == sorted(sum(starts(other), []))
    run = torch.from_numpy(pd.read_parquet(sharded / "train.parquet")["run"].to_numpy(copy=True))
    for inputs, places, _ in other:  # `starts` has put rows in the place of targets
        places = places[..., 0].long()
        assert torch.equal(inputs, one.inputs[places]) and (run[places] == run[places[:, :1]]).all()


@pytest.mark.parametrize("world", [2, 4, 8])
def test_batches_are_the_same_for_any_number_of_processes(sharded, monkeypatch, world):
    """Also the last one, of a few stretches: each process still has those of its own lanes."""
    whole = starts(batches.load(sharded, "train", 7, **WINDOWS))
    parts = []
    for rank in range(world):
        on_rank(monkeypatch, rank, world)
        parts.append(starts(batches.load(sharded, "train", 7, **WINDOWS)))
    assert [sum(parts_of_a_batch, []) for parts_of_a_batch in zip(*parts, strict=True)] == whole


@pytest.mark.parametrize("world", [2, 4])
def test_a_process_opens_the_shards_of_its_own_part_alone(sharded, monkeypatch, world):
    """But for one on the border of two."""
    opened = []
    for rank in range(world):
        on_rank(monkeypatch, rank, world)
        loader = batches.load(sharded, "train", 7, batch_size=8)
        opened.append(set())
        with monkeypatch.context() as patch:
            read = shards.read
            patch.setattr(shards, "read", lambda path, read=read: opened[-1].add(path) or read(path))
            list(loader)
    assert len(set.union(*opened)) == len(loader.inputs.paths)
    for one in range(world):
        for other in range(one):
            assert len(opened[one] & opened[other]) <= 1


def of_process(order: np.ndarray, batch_size: int, rank: int, world: int) -> np.ndarray:
    """The items that `Rows` gives to a process."""
    batches = [order[first : first + batch_size] for first in range(0, len(order), batch_size)]
    return np.concatenate([one[len(one) * rank // world : len(one) * (rank + 1) // world] for one in batches])


@pytest.mark.parametrize("count", [1, 7, 8, 9, 640, 641, 1003])
@pytest.mark.parametrize("batch_size", [1, 4, 6, 64])
def test_every_item_comes_once_an_epoch_and_a_process_keeps_its_part(count, batch_size):
    shard = np.sort(np.random.default_rng(count).integers(0, max(count // 20, 1), count))
    shard = np.unique(shard, return_inverse=True)[1]
    for world in (1, 2, 3, 4):
        if batch_size % world:
            continue
        order = in_lanes(shard, batch_size, world, np.random.default_rng([7, 1]))
        assert sorted(order) == list(range(count))
        if world > 1 and count >= 640:
            of = [set(shard[of_process(order, batch_size, rank, world)]) for rank in range(world)]
            assert all(len(one & other) <= 1 for index, one in enumerate(of) for other in of[:index])


def test_an_order_is_of_seed_and_epoch_and_mixes_a_few_shards_at_a_time():
    shard = np.repeat(np.arange(200), 50)
    one, same, other = (in_lanes(shard, 64, 1, np.random.default_rng([7, epoch])) for epoch in (0, 0, 1))
    assert np.array_equal(one, same) and not np.array_equal(one, other)
    batch = one[: 64 * 20].reshape(20, 64)
    assert all(len(set(shard[items])) > LANES for items in batch)  # of many places of the recording
    span = 64 * 25  # as many batches as a lane takes for its mixed shards
    at_once = [len(set(shard[one[first : first + span]])) for first in range(0, len(one) - span, span)]
    assert max(at_once) <= LANES * 2 * (MIXED + 1) < len(set(shard))
    assert all(abs(before - after) != 1 for before, after in pairwise(one[:64]))  # hardly one beside its neighbour


def test_a_place_in_an_epoch_is_gone_on_from(sharded):
    loader, other = (batches.load(sharded, "train", 7, **WINDOWS) for _ in range(2))
    first = starts(loader)
    loader.set_epoch(3)
    other.set_epoch(3)
    every = starts(loader)
    assert every != first != starts(batches.load(sharded, "train", 8, **WINDOWS))
    other.load_state_dict({**loader.state_dict(), "done": 11})
    assert starts(other) == every[11:] and sorted(sum(every, [])) == sorted(loader.tensors[0].tolist())


@pytest.mark.parametrize("folder", ["whole", "sharded"])
def test_a_process_that_a_small_last_batch_leaves_without_gets_a_stretch_that_counts_for_nothing(
    folder, monkeypatch, request
):
    """The mean loss of no stretch at all would be no number, and with it all weights."""
    processed = request.getfixturevalue(folder)
    count = read_facts(processed)["items"]["train"]
    batch_size = next(size for size in range(4, count, 4) if count % size in (1, 2, 3))
    last = []
    for rank in range(4):
        on_rank(monkeypatch, rank, 4)
        *_, (inputs, _, share) = batches.load(processed, "train", 7, batch_size=batch_size)
        last.append((len(inputs), share))
    assert all(length >= 1 for length, _ in last) and 0.0 in [share for _, share in last]
    assert sum(length * (share > 0) for length, share in last) == count % batch_size


def test_a_shard_that_is_missing_or_cut_off_is_told(sharded, tmp_path):
    frames = shards.ShardFiles(tmp_path / "train_frames", SHARD)
    with frames:
        for number in range(60):
            frames.add(np.full((61, 61, 3), number, np.uint8))
    path = tmp_path / "train_frames-00001.arrow"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(UserError, match=r"train_frames-00001\.arrow is no whole Arrow file.*dvc checkout --force"):
        shards.ShardedFrames(tmp_path / "train_frames", frames.sizes)[30:31]
    path.unlink()
    with pytest.raises(UserError, match=r"train_frames-00001\.arrow is missing, one of 3 shards"):
        shards.ShardedFrames(tmp_path / "train_frames", frames.sizes)


def test_a_shard_of_no_size_is_refused(tmp_path):
    arguments = {**recordings.BLOCKS, **recordings.ARGUMENTS, "shard_megabytes": 0}
    with pytest.raises(UserError, match=r"shard_megabytes is 0; a size above 0 is expected"):
        preprocess(tmp_path, tmp_path / "out", "udacity_sim", **arguments)


def train(processed: Path, folder: Path, seed: int = 7, epochs: int = 6) -> float:
    """A small training on what is made ready; returns its best validation."""
    fit.ExactResume = partial(ExactResume, interval=10)
    fit.set_determinism(seed, threads=1)
    driver = SteeringModel(read_facts(processed), {"class": "PilotNet"}, {"angle": 1.0}, 0.002)
    loaders = [batches.load(processed, split, seed, batch_size=16) for split in ("train", "validation")]
    history = fit.fit(driver, *loaders, folder=folder / "run", trainer=TRAINER, best=BEST, epochs=epochs)
    history_file.write_history(history.records, history.text_samples, folder / "model")
    model_folder.save_model(driver, folder / "model")
    return min(row.value for row in history.records if row.name == "validation_rmse")


@pytest.mark.slow
def test_training_on_shards_comes_to_the_same_loss(whole, sharded, tmp_path):
    reached = {folder.name: [train(folder, tmp_path / f"{folder.name}{seed}", seed) for seed in (1, 2, 3)]
               for folder in (whole, sharded)}  # fmt: skip
    baseline = 0.42  # RMSE of always straight on: 0.6 / sqrt(2)
    assert max(max(values) for values in reached.values()) < baseline / 3
    spread = np.ptp(reached["whole"])
    assert abs(np.mean(reached["whole"]) - np.mean(reached["sharded"])) < 2 * spread, reached


def test_a_training_on_shards_that_is_killed_in_an_epoch_ends_with_the_same_bytes(sharded, tmp_path):
    assert in_child(train, sharded, tmp_path / "undisturbed", epochs=2).code == 0

    def train_and_die() -> None:
        at_call(SteeringModel, "training_step", 27, die)
        train(sharded, tmp_path / "killed", epochs=2)

    assert in_child(train_and_die).code == KILLED
    ended = in_child(train, sharded, tmp_path / "killed", epochs=2)
    assert ended.code == 0, ended.said
    for file in ("weights.safetensors", "module.json", "history.csv"):
        both = [(tmp_path / name / "model" / file).read_bytes() for name in ("undisturbed", "killed")]
        assert both[0] == both[1], file
