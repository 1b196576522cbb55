"""Test the splits, the packed frames, the batches and the generated recording of the steering task."""

import json
import tracemalloc

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import steering_recordings as recordings
from lectern.artifacts.dataset import read_facts
from lectern.errors import UserError
from lectern.tasks.steering.data import samples
from lectern.tasks.steering.data.format.frames import Crop, prepare, shrink
from lectern.tasks.steering.data.packing import open_writers, pack_frames
from lectern.tasks.steering.data.preprocess import preprocess
from lectern.tasks.steering.data.readers.bad_rows import BadRows
from lectern.tasks.steering.data.readers.formats import read_recording
from lectern.tasks.steering.data.road import HALF_WIDTH, simulate_drive
from lectern.tasks.steering.data.splits import find_runs
from lectern.tasks.steering.model import loader as loaders

SPLITS = ("train", "validation", "test")


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    folder = tmp_path_factory.mktemp("raw") / "sim"
    recordings.write_udacity_sim(folder)
    return folder


@pytest.fixture(scope="module")
def processed(raw, tmp_path_factory):
    folder = tmp_path_factory.mktemp("processed") / "sim"
    preprocess(raw, folder, "udacity_sim", **recordings.BLOCKS, **recordings.ARGUMENTS)
    return folder


def read_tables(processed) -> dict[str, pd.DataFrame]:
    return {split: pd.read_parquet(processed / f"{split}.parquet") for split in SPLITS}


# Splits


def test_splits_are_disjoint_with_a_gap_of_two_seconds(processed):
    tables = read_tables(processed)
    assert pd.concat(tables.values())["row"].is_unique
    for held_out in ("validation", "test"):
        others = pd.concat([tables[other] for other in SPLITS if other != held_out])
        distances = np.abs(tables[held_out]["time"].to_numpy()[:, None] - others["time"].to_numpy())
        assert distances.min() >= 2.0
    assert tables["test"]["row"].tolist() == [*range(40, 60), *range(140, 160)]
    assert read_facts(processed)["held_out"] == {**recordings.BLOCKS, "gap_seconds": 2.0}


def test_runs_have_no_break_and_belong_to_one_split(processed):
    for table in read_tables(processed).values():
        for _, run in table.groupby("run"):
            assert run["time"].diff().max() < 0.5
            assert run["row"].diff().dropna().eq(1).all()


def test_every_frame_is_packed_in_the_row_of_its_table(raw, processed):
    log = pd.read_csv(raw / "driving_log.csv")
    crop = Crop(**read_facts(processed)["prepare"])
    for split, table in read_tables(processed).items():
        frames = np.load(processed / f"{split}_frames.npy", mmap_mode="r")
        assert len(frames) == len(table) == read_facts(processed)["items"][split]
        assert table["angle"].tolist() == log["steering"][table["row"]].tolist()
        number = len(table) // 2
        image = np.asarray(Image.open(raw / log["center"][table["row"][number]]))
        assert (frames[number] == (image if split == "test" else shrink(image, crop))).all()


def test_facts_are_computed_on_training_frames_only(processed):
    facts = read_facts(processed)
    train = read_tables(processed)["train"]
    assert facts["mean"]["angle"] == pytest.approx(train["angle"].mean(), abs=1e-6)
    assert facts["deviation"]["speed"] == pytest.approx(train["speed"].std(ddof=0), abs=1e-6)
    assert facts["step_seconds"] == 0.1 and facts["targets"][:2] == ["angle", "angle_averaged"]


def test_test_digest_depends_on_the_raw_test_data_only(raw, processed, tmp_path):
    other_crop = {**recordings.ARGUMENTS, "top": 0.1}
    other_validation = {**recordings.BLOCKS, "validation": [[85, 100], [180, 200]]}
    preprocess(raw, tmp_path / "same_test", "udacity_sim", **other_validation, **other_crop)
    assert read_facts(tmp_path / "same_test")["test_digest"] == read_facts(processed)["test_digest"]
    other_test = {**recordings.BLOCKS, "test": [[41, 60], [140, 160]]}
    preprocess(raw, tmp_path / "other_test", "udacity_sim", **other_test, **recordings.ARGUMENTS)
    assert read_facts(tmp_path / "other_test")["test_digest"] != read_facts(processed)["test_digest"]


# Bad input


def test_a_truncated_image_is_reported_or_skipped_and_counted(tmp_path):
    log = recordings.write_udacity_sim(tmp_path / "sim")
    path = tmp_path / "sim" / log["center"][10]
    path.write_bytes(path.read_bytes()[:300])
    arguments = (tmp_path / "sim", tmp_path / "out", "udacity_sim")
    options = {**recordings.BLOCKS, **recordings.ARGUMENTS}
    with pytest.raises(UserError, match=r"driving_log\.csv, row 10: the frame is damaged: the image cannot be decoded"):
        preprocess(*arguments, **options)
    assert not (tmp_path / "out" / "facts.json").exists()
    preprocess(*arguments, **options, bad_rows="skip")
    table = read_tables(tmp_path / "out")["train"]
    assert 10 not in table["row"].tolist()
    assert read_facts(tmp_path / "out")["left_out"]["the frame is damaged"] == 1
    assert len(np.load(tmp_path / "out" / "train_frames.npy")) == len(table)


def test_image_of_a_different_size_is_rejected(tmp_path):
    log = recordings.write_udacity_sim(tmp_path / "sim")
    image = recordings.encode_jpeg(np.zeros((10, 20, 3), np.uint8))
    (tmp_path / "sim" / log["center"][3]).write_bytes(image)
    with pytest.raises(UserError, match=r"row 3: the frame has a different size: \(10, 20\), expected \(32, 64\)"):
        preprocess(tmp_path / "sim", tmp_path, "udacity_sim", **recordings.BLOCKS, **recordings.ARGUMENTS)


def test_short_runs_are_left_out_and_counted(raw, processed, tmp_path):
    assert read_facts(processed)["left_out"] == {"frames in runs shorter than 5": 2}
    assert min(table.groupby("run").size().min() for table in read_tables(processed).values()) >= 5
    arguments = {**recordings.ARGUMENTS, "shortest": 21}
    with pytest.raises(UserError, match=r"no run of 21 frames is left for test and validation; the longest run has"):
        preprocess(raw, tmp_path, "udacity_sim", **recordings.BLOCKS, **arguments)


@pytest.mark.parametrize("wrong", [{"top": 0.6, "bottom": 0.5}, {"height": 0}], ids=["nothing left", "no height"])
def test_impossible_crop_is_rejected(wrong, tmp_path):
    arguments = {**recordings.ARGUMENTS, **wrong}
    with pytest.raises(UserError, match=r"expected top and bottom of at least 0 with a sum below 1"):
        preprocess(tmp_path, tmp_path / "out", "udacity_sim", **recordings.BLOCKS, **arguments)


def test_raw_frames_of_a_wrong_shape_or_type_are_rejected(processed):
    facts = read_facts(processed)
    assert prepare(np.zeros((2, 3, 40, 50, 3), np.uint8), facts).shape == (2, 3, 61, 61, 3)
    for wrong in (np.zeros((2, 40, 50), np.uint8), np.zeros((40, 50, 3)), np.zeros((1, 0, 50, 3), np.uint8)):
        with pytest.raises(UserError, match=r"Frames must be uint8 of shape \(\.\.\., height, width, 3\)"):
            prepare(wrong, facts)


@pytest.mark.parametrize("shard_megabytes", [None, 0.5])
def test_memory_does_not_grow_with_the_recording(tmp_path, shard_megabytes):
    def measure_peak(count: int) -> int:
        table = pd.DataFrame({"split": "train", "place": "log.csv, row 0"}, index=range(count))
        blank = np.zeros((480, 640, 3), np.uint8)
        frames = (blank.copy() for _ in range(count))
        tracemalloc.start()
        with open_writers(tmp_path, shard_megabytes) as writers:
            pack_frames(frames, table, writers, Crop(0.0, 0.0, 66, 200), BadRows("stop"))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    peak_of_20, peak_of_200 = measure_peak(20), measure_peak(200)
    written = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert written > 200 * 66 * 200 * 3
    # The 180 additional frames have 7 MB as packed frames and 166 MB as raw frames.
    assert peak_of_200 < peak_of_20 + 2**20


# Batches


def test_windows_do_not_cross_breaks_and_cover_every_frame(processed):
    table = read_tables(processed)["train"]
    loader = loaders.load(processed, "train", 7, batch_size=3, window=4, sequence_length=5)
    rows = torch.arange(len(table), dtype=torch.float32)[:, None]
    loader.targets = torch.cat([rows, torch.from_numpy(table["run"].to_numpy(np.float32))[:, None]], 1)
    covered = []
    for frames, targets, _ in loader:
        assert frames.shape[1:] == (8, 61, 61, 3) and targets.shape[1] == 8
        # Each sequence belongs to one run of frames without a break.
        assert (targets[..., 1] == targets[:, :1, 1]).all()
        steps = targets[:, 1:, 0] - targets[:, :-1, 0]
        # Only the first frame of a run is repeated.
        assert ((steps == 1) | ((steps == 0) & (torch.arange(7) < 3))).all()
        assert (frames[:, -1] == loader.inputs[targets[:, -1, 0].long()]).all()
        covered += targets[:, 3:, 0].flatten().tolist()
    assert set(covered) == set(range(len(table)))


def test_runs_are_cut_into_sequences():
    runs = np.array([0, 0, 0, 0, 0, 1, 1, 2])
    starts, run_starts = loaders.find_sequences(runs, 2)
    assert starts.tolist() == [0, 2, 3, 5] and run_starts.tolist() == [0, 0, 0, 5]
    with pytest.raises(UserError, match=r"batches\.sequence_length is 6, but the longest run has 5 frames"):
        loaders.find_sequences(runs, 6)


def test_frames_of_too_short_runs_are_reported(capsys):
    runs = np.repeat([0, 1, 2], [30, 9, 4])
    loaders.warn_of_short_runs(runs, 10, "train")
    message = "train: 13 frames in runs shorter than batches.sequence_length=10 are not used"
    assert message in capsys.readouterr().err
    loaders.warn_of_short_runs(runs, 4, "train")
    assert capsys.readouterr().err == ""


def test_order_depends_on_seed_and_epoch_and_resumes_within_an_epoch(processed):
    def targets_of(loader) -> list:
        return [targets[:, -1, 2].tolist() + targets[:, -1, 0].tolist() for _, targets, _ in loader]

    loader, resumed = (loaders.load(processed, "train", 7, batch_size=8) for _ in range(2))
    first_epoch = targets_of(loader)
    loader.set_epoch(1)
    assert targets_of(loader) != first_epoch
    assert targets_of(loaders.load(processed, "train", 8, batch_size=8)) != first_epoch
    resumed.load_state_dict({**resumed.state_dict(), "done": 5})
    assert targets_of(resumed) == first_epoch[5:]
    validation = loaders.load(processed, "validation", 7, batch_size=8)
    assert targets_of(validation) == targets_of(validation)


# The generated recording


def test_generated_recording_depends_on_the_seed_only_and_can_be_read(tmp_path):
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        (tmp_path / name).mkdir()
        samples.make(tmp_path / name, frames=24, seed=seed)
    archives = {name: (tmp_path / name / "sample_road.zip").read_bytes() for name in "abc"}
    assert archives["a"] == archives["b"] != archives["c"]
    (tmp_path / "a").rename(tmp_path / "sample_road")
    recording = read_recording("udacity_sim", tmp_path / "sample_road", BadRows("stop"))
    assert len(recording.table) == 24 and find_runs(recording.table, 0.5).nunique() == 4
    assert next(iter(recording.decode(recording.table))).shape == (80, 160, 3)


def test_simulated_car_stays_on_the_road_and_turns_both_ways():
    drive = simulate_drive(600, np.random.default_rng(3))
    assert abs(drive.offset).max() < HALF_WIDTH
    assert drive.steering.min() < -0.1 and drive.steering.max() > 0.1
    assert drive.throttle.min() >= 0 and drive.throttle.max() <= 1 and drive.speed[50:].min() > 3


def test_recording_that_the_user_must_provide_is_explained(tmp_path):
    out = tmp_path / "deeptesla" / ".scratch"
    with pytest.raises(UserError, match=r"Put your own recording into .*/deeptesla: videos\. Then run `python"):
        samples.make(out, bring="videos")


def test_impossible_times_are_refused_and_replaced_by_the_frame_rate(tmp_path):
    """donkeycar's conversion of a tub of version 1 writes the time of the conversion to each frame."""
    recordings.write_donkey(tmp_path / "raw", frames=80, deleted=())
    for path in (tmp_path / "raw").glob("*.catalog"):
        rows = [json.loads(line) for line in path.read_text().split("\n") if line]
        lines = [json.dumps(row | {"_timestamp_ms": 1668220932411 + 3 * row["_index"]}) for row in rows]
        path.write_text("\n".join(lines) + "\n")
    settings = {
        "test": [[60, 79]],
        "validation": [[35, 45]],
        "top": 0.0,
        "bottom": 0.0,
        "gap_seconds": 0.1,
        "shortest": 5,
    }
    with pytest.raises(UserError, match="3 ms apart, but a camera needs at least 10 ms.*preprocess.frame_rate"):
        preprocess(tmp_path / "raw", tmp_path / "out", "donkey", **settings)
    preprocess(tmp_path / "raw", tmp_path / "out", "donkey", **settings, frame_rate=20)
    assert read_facts(tmp_path / "out")["step_seconds"] == 0.05
