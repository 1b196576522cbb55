"""Test sharded frames: the content of the shards, the order of sequences, and the shards that each process reads."""

from functools import partial
from itertools import combinations, pairwise
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
from lectern.tasks.steering.model import loader as steering_loader
from lectern.tasks.steering.model.loader import SequenceLoader, load
from lectern.tasks.steering.model.module import SteeringModel
from lectern.tasks.steering.model.shard_order import MIN_PARTS, SHUFFLED_SHARDS, shuffle_by_shard
from lectern.training import fit
from lectern.training import loader as training_loader
from lectern.training.checkpointing import ExactResume

SHARD_MEGABYTES = 0.3  # A shard of this size contains 26 frames of 61 x 61 pixels.
TRAINER = {"accelerator": "cpu", "devices": 1, "num_nodes": 1, "strategy": "auto", "threads": 1}
BEST = {"metric": "validation_rmse", "mode": "min"}
SEQUENCES = {"batch_size": 8, "window": 4, "sequence_length": 3}


@pytest.fixture(scope="module")
def unsharded(tmp_path_factory) -> Path:
    """Prepare a recording of 800 frames with all training frames in one file."""
    raw, folder = tmp_path_factory.mktemp("raw") / "sim", tmp_path_factory.mktemp("processed") / "unsharded"
    recordings.write_udacity_sim(raw, 800, 350)
    preprocess(raw, folder, "udacity_sim", **recordings.BLOCKS, **recordings.ARGUMENTS)
    return folder


@pytest.fixture(scope="module")
def sharded(tmp_path_factory) -> Path:
    """Prepare the recording of 800 frames with the training frames in shards."""
    raw, folder = tmp_path_factory.mktemp("raw") / "sim", tmp_path_factory.mktemp("processed") / "sharded"
    recordings.write_udacity_sim(raw, 800, 350)
    arguments = {**recordings.BLOCKS, **recordings.ARGUMENTS, "shard_megabytes": SHARD_MEGABYTES}
    preprocess(raw, folder, "udacity_sim", **arguments)
    return folder


def set_rank(monkeypatch, rank: int, world_size: int) -> None:
    for module in (training_loader, steering_loader):
        monkeypatch.setattr(module, "rank_and_world_size", lambda: (rank, world_size))


def batch_starts(loader: SequenceLoader) -> list[list[int]]:
    """Return the first row of each sequence in each batch. The targets of the loader are replaced by row indices."""
    loader.targets = torch.arange(len(loader.targets), dtype=torch.float32)[:, None]
    return [
        targets[:, loader.window - 1, 0].long().tolist() if loss_weight else [] for _, targets, loss_weight in loader
    ]


def without_train_frames(files: dict[str, str]) -> dict[str, str]:
    return {name: digest for name, digest in files.items() if "train_frames" not in name}


def test_sharding_changes_only_the_files_of_the_training_frames(unsharded, sharded):
    facts, expected_facts = read_facts(sharded), read_facts(unsharded)
    sizes = facts.pop("shards")["train"]
    assert len(sizes) == 24 and set(sizes[:-1]) == {26} and sum(sizes) == facts["items"]["train"]
    files, expected_files = facts.pop("files"), expected_facts.pop("files")
    assert facts == expected_facts
    assert without_train_frames(files) == without_train_frames(expected_files)
    frames = shards.ShardedFrames(sharded / "train_frames", sizes)
    expected_frames = np.load(unsharded / "train_frames.npy")
    rows = torch.randint(len(expected_frames), (5, 7))
    assert np.array_equal(frames[rows].numpy(), expected_frames[rows.numpy()])
    assert np.array_equal(frames[3:29], expected_frames[3:29])


def test_shard_is_a_standard_arrow_file(sharded):
    path = sharded / "train_frames-00001.arrow"
    table = pa.ipc.open_file(path).read_all()
    assert table.schema.field("frame").type == pa.fixed_shape_tensor(pa.uint8(), [61, 61, 3]) and len(table) == 26
    assert path.stat().st_size < 1.05 * SHARD_MEGABYTES * 1e6


def test_sequences_and_their_frames_are_the_same_as_without_shards(unsharded, sharded):
    """Some windows cross the border of two shards, but none crosses a break."""
    expected, loader = (load(folder, "train", 7, **SEQUENCES) for folder in (unsharded, sharded))
    assert sorted(sum(batch_starts(expected), [])) == sorted(sum(batch_starts(loader), []))
    run = torch.from_numpy(pd.read_parquet(sharded / "train.parquet")["run"].to_numpy(copy=True))
    for inputs, targets, _ in loader:  # The function `batch_starts` has replaced the targets by row indices.
        rows = targets[..., 0].long()
        assert torch.equal(inputs, expected.inputs[rows]) and (run[rows] == run[rows[:, :1]]).all()


@pytest.mark.parametrize("world_size", [2, 4, 8])
def test_batches_do_not_depend_on_the_number_of_processes(sharded, monkeypatch, world_size):
    expected = batch_starts(load(sharded, "train", 7, **SEQUENCES))
    of_ranks = []
    for rank in range(world_size):
        set_rank(monkeypatch, rank, world_size)
        of_ranks.append(batch_starts(load(sharded, "train", 7, **SEQUENCES)))
    assert [sum(slices, []) for slices in zip(*of_ranks, strict=True)] == expected


@pytest.mark.parametrize("world_size", [2, 4])
def test_two_processes_share_at_most_one_shard(sharded, monkeypatch, world_size):
    opened: list[set[Path]] = []
    original = shards.open_shard
    for rank in range(world_size):
        set_rank(monkeypatch, rank, world_size)
        loader = load(sharded, "train", 7, batch_size=8)
        opened.append(set())
        with monkeypatch.context() as patch:
            patch.setattr(shards, "open_shard", lambda path: opened[-1].add(path) or original(path))
            list(loader)
    assert len(set.union(*opened)) == len(loader.inputs.paths)
    assert all(len(first & second) <= 1 for first, second in combinations(opened, 2))


def items_of_rank(order: np.ndarray, batch_size: int, rank: int, world_size: int) -> np.ndarray:
    """Return the items that `InMemoryLoader` gives to a process."""
    batches = [order[first : first + batch_size] for first in range(0, len(order), batch_size)]
    slices = [batch[len(batch) * rank // world_size : len(batch) * (rank + 1) // world_size] for batch in batches]
    return np.concatenate(slices)


@pytest.mark.parametrize("count", [1, 7, 8, 9, 640, 641, 1003])
@pytest.mark.parametrize("batch_size", [1, 4, 6, 64])
def test_epoch_contains_every_item_once_and_processes_read_different_shards(count, batch_size):
    shard_of_item = np.sort(np.random.default_rng(count).integers(0, max(count // 20, 1), count))
    shard_of_item = np.unique(shard_of_item, return_inverse=True)[1]
    for world_size in (1, 2, 3, 4):
        if batch_size % world_size:
            continue
        order = shuffle_by_shard(shard_of_item, batch_size, world_size, np.random.default_rng([7, 1]))
        assert sorted(order) == list(range(count))
        if count >= 640:
            ranks = range(world_size)
            read = [set(shard_of_item[items_of_rank(order, batch_size, rank, world_size)]) for rank in ranks]
            assert all(len(first & second) <= 1 for first, second in combinations(read, 2))


def test_order_depends_on_seed_and_epoch_and_mixes_a_few_shards():
    shard_of_item = np.repeat(np.arange(200), 50)
    order, repeated, other_epoch = (
        shuffle_by_shard(shard_of_item, 64, 1, np.random.default_rng([7, epoch])) for epoch in (0, 0, 1)
    )
    assert np.array_equal(order, repeated) and not np.array_equal(order, other_epoch)
    batches = order[: 64 * 20].reshape(20, 64)
    assert all(len(set(shard_of_item[batch])) > MIN_PARTS for batch in batches)
    # number of items in which each part of the epoch uses up the shards that are shuffled together
    span = 64 * 25
    spans = [order[first : first + span] for first in range(0, len(order) - span, span)]
    most_shards = max(len(set(shard_of_item[items])) for items in spans)
    assert most_shards <= MIN_PARTS * 2 * (SHUFFLED_SHARDS + 1) < len(set(shard_of_item))
    # Neighboring sequences are not next to each other in the order.
    assert all(abs(first - second) != 1 for first, second in pairwise(order[:64]))


def test_loader_resumes_within_an_epoch(sharded):
    loader, resumed = (load(sharded, "train", 7, **SEQUENCES) for _ in range(2))
    epoch_0 = batch_starts(loader)
    loader.set_epoch(3)
    resumed.set_epoch(3)
    epoch_3 = batch_starts(loader)
    assert epoch_3 != epoch_0 != batch_starts(load(sharded, "train", 8, **SEQUENCES))
    resumed.load_state_dict({**loader.state_dict(), "done": 11})
    assert batch_starts(resumed) == epoch_3[11:]
    assert sorted(sum(epoch_3, [])) == sorted(loader.tensors[0].tolist())


@pytest.mark.parametrize("folder", ["unsharded", "sharded"])
def test_process_without_items_in_the_last_batch_gets_one_with_weight_zero(folder, monkeypatch, request):
    """The mean loss of an empty batch would be NaN, and so would all weights."""
    processed = request.getfixturevalue(folder)
    count = read_facts(processed)["items"]["train"]
    batch_size = next(size for size in range(4, count, 4) if count % size in (1, 2, 3))
    last_batches = []
    for rank in range(4):
        set_rank(monkeypatch, rank, 4)
        *_, (inputs, _, loss_weight) = load(processed, "train", 7, batch_size=batch_size)
        last_batches.append((len(inputs), loss_weight))
    assert all(length >= 1 for length, _ in last_batches)
    assert 0.0 in [loss_weight for _, loss_weight in last_batches]
    assert sum(length * (loss_weight > 0) for length, loss_weight in last_batches) == count % batch_size


def test_missing_or_truncated_shard_is_reported(tmp_path):
    with shards.ShardWriter(tmp_path / "train_frames", SHARD_MEGABYTES) as writer:
        for number in range(60):
            writer.add(np.full((61, 61, 3), number, np.uint8))
    path = tmp_path / "train_frames-00001.arrow"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(UserError, match=r"-00001\.arrow is not a complete Arrow file.*dvc checkout --force"):
        shards.ShardedFrames(tmp_path / "train_frames", writer.sizes)[30:31]
    path.unlink()
    with pytest.raises(UserError, match=r"train_frames-00001\.arrow is missing; 3 shards are expected"):
        shards.ShardedFrames(tmp_path / "train_frames", writer.sizes)


def test_shard_size_of_zero_is_rejected(tmp_path):
    arguments = {**recordings.BLOCKS, **recordings.ARGUMENTS, "shard_megabytes": 0}
    with pytest.raises(UserError, match=r"shard_megabytes is 0; expected a size above 0"):
        preprocess(tmp_path, tmp_path / "out", "udacity_sim", **arguments)


def train(processed: Path, folder: Path, seed: int = 7, epochs: int = 6) -> float:
    """Train a small model on a prepared dataset. Return the best validation RMSE of the training."""
    fit.ExactResume = partial(ExactResume, interval=10)
    fit.set_determinism(seed, threads=1)
    model = SteeringModel(read_facts(processed), {"class": "PilotNet"}, {"angle": 1.0}, 0.002)
    loaders = [load(processed, split, seed, batch_size=16) for split in ("train", "validation")]
    history = fit.fit(model, *loaders, folder=folder / "run", trainer=TRAINER, best=BEST, epochs=epochs)
    history_file.write_history(history.records, history.text_samples, folder / "model")
    model_folder.save_model(model, folder / "model")
    return min(record.value for record in history.records if record.name == "validation_rmse")


@pytest.mark.nightly
def test_training_on_shards_reaches_the_same_loss(unsharded, sharded, tmp_path):
    rmse = {folder.name: [train(folder, tmp_path / f"{folder.name}{seed}", seed) for seed in (1, 2, 3)]
            for folder in (unsharded, sharded)}  # fmt: skip
    baseline = 0.42  # If the prediction is always straight ahead, the RMSE is 0.6 / sqrt(2).
    assert max(max(values) for values in rmse.values()) < baseline / 3
    spread = np.ptp(rmse["unsharded"])
    assert abs(np.mean(rmse["unsharded"]) - np.mean(rmse["sharded"])) < 2 * spread, rmse


@pytest.mark.slow
def test_training_on_shards_killed_within_an_epoch_resumes_to_the_same_bytes(sharded, tmp_path):
    assert in_child(train, sharded, tmp_path / "undisturbed", epochs=2).code == 0

    def train_and_die() -> None:
        at_call(SteeringModel, "training_step", 27, die)
        train(sharded, tmp_path / "killed", epochs=2)

    assert in_child(train_and_die).code == KILLED
    resumed = in_child(train, sharded, tmp_path / "killed", epochs=2)
    assert resumed.code == 0, resumed.said
    for file in ("weights.safetensors", "module.json", "history.csv"):
        first, second = (tmp_path / name / "model" / file for name in ("undisturbed", "killed"))
        assert first.read_bytes() == second.read_bytes(), file
