"""From a recording to splits and batches: nothing leaks, nothing crosses a break, nothing is lost unsaid."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest
import torch

import steering_recordings as recordings
from lectern.artifacts.dataset import read_facts
from lectern.errors import UserError
from lectern.tasks.steering.data import samples
from lectern.tasks.steering.data.format.frames import Crop, prepare, shrink
from lectern.tasks.steering.data.packing import frame_files, pack
from lectern.tasks.steering.data.preprocess import preprocess
from lectern.tasks.steering.data.readers.bad_rows import BadRows
from lectern.tasks.steering.data.splits import assign, average, find_runs
from lectern.tasks.steering.model import loader as batches

SPLITS = ("train", "validation", "test")


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    folder = tmp_path_factory.mktemp("raw") / "sim"
    recordings.udacity_sim(folder)
    return folder


@pytest.fixture(scope="module")
def processed(raw, tmp_path_factory):
    folder = tmp_path_factory.mktemp("processed") / "sim"
    preprocess(raw, folder, "udacity_sim", **recordings.BLOCKS, **recordings.ARGUMENTS)
    return folder


def tables(processed) -> dict[str, pd.DataFrame]:
    return {split: pd.read_parquet(processed / f"{split}.parquet") for split in SPLITS}


def test_splits_are_disjoint_with_a_gap_of_two_seconds(processed):
    split = tables(processed)
    rows = pd.concat(split.values())["row"]
    assert rows.is_unique
    for held_out in ("validation", "test"):
        others = pd.concat([split[other] for other in SPLITS if other != held_out])
        nearest = np.abs(split[held_out]["time"].to_numpy()[:, None] - others["time"].to_numpy()).min()
        assert nearest >= 2.0
    assert split["test"]["row"].tolist() == [*range(40, 60), *range(140, 160)]
    assert read_facts(processed)["held_out"] == {**recordings.BLOCKS, "gap_seconds": 2.0}


def test_a_run_ends_at_a_break_and_where_the_split_does(processed):
    for table in tables(processed).values():
        for _, run in table.groupby("run"):
            assert run["time"].diff().max() < 0.5 and run["row"].diff().dropna().eq(1).all()


def test_every_frame_is_packed_at_its_row(raw, processed):
    log = pd.read_csv(raw / "driving_log.csv")
    crop = Crop(**read_facts(processed)["prepare"])
    for split, table in tables(processed).items():
        frames = np.load(processed / f"{split}_frames.npy", mmap_mode="r")
        assert len(frames) == len(table) == read_facts(processed)["items"][split]
        assert table["angle"].tolist() == log["steering"][table["row"]].tolist()
        from PIL import Image

        number = len(table) // 2
        picture = np.asarray(Image.open(raw / log["center"][table["row"][number]]))
        assert (frames[number] == (picture if split == "test" else shrink(picture, crop))).all()


def test_facts_are_of_the_training_frames_alone(raw, processed, tmp_path):
    facts = read_facts(processed)
    train = tables(processed)["train"]
    assert facts["mean"]["angle"] == pytest.approx(train["angle"].mean(), abs=1e-6)
    assert facts["deviation"]["speed"] == pytest.approx(train["speed"].std(ddof=0), abs=1e-6)
    assert facts["step_seconds"] == 0.1 and facts["targets"][:2] == ["angle", "angle_averaged"]


def test_the_test_digest_is_of_the_raw_test_data_alone(raw, processed, tmp_path):
    arguments = {**recordings.ARGUMENTS, "top": 0.1}  # another crop, other facts
    other = {**recordings.BLOCKS, "validation": [[85, 100], [180, 200]]}
    preprocess(raw, tmp_path / "crop", "udacity_sim", **other, **arguments)
    assert read_facts(tmp_path / "crop")["test_digest"] == read_facts(processed)["test_digest"]
    moved = {**recordings.BLOCKS, "test": [[41, 60], [140, 160]]}
    preprocess(raw, tmp_path / "moved", "udacity_sim", **moved, **recordings.ARGUMENTS)
    assert read_facts(tmp_path / "moved")["test_digest"] != read_facts(processed)["test_digest"]


def test_the_averaged_angle_is_the_mean_around_a_frame_and_stays_within_its_run():
    table = pd.DataFrame({"drive": "a", "time": [0.0, 0.1, 0.2, 0.3, 5.0, 5.1], "angle": [0.0, 3, 0, 0, 9, 9]})
    table["run"] = find_runs(table, 0.5)
    assert table["run"].tolist() == [0, 0, 0, 0, 1, 1]
    assert average(table, 0.2).tolist() == pytest.approx([1.5, 1, 1, 0, 9, 9])


def test_blocks_that_are_too_near_or_empty_are_refused():
    table = pd.DataFrame({"drive": "a", "row": range(100), "time": np.arange(100) / 10})
    with pytest.raises(UserError, match=r"preprocess\.validation: \[35, 50\] is nearer than 2\.0 s to a block of test"):
        assign(table, {"test": [[10, 30]], "validation": [[35, 50]]}, 2.0)
    with pytest.raises(UserError, match=r"preprocess\.test: \[200, 300\] holds no frame\. There are rows 0 to 99"):
        assign(table, {"test": [[200, 300]], "validation": [[35, 50]]}, 2.0)
    with pytest.raises(UserError, match=r"\[30, 10\] is no block"):
        assign(table, {"test": [[30, 10]], "validation": [[35, 50]]}, 2.0)
    with pytest.raises(UserError, match="no frame is left for train"):
        assign(table, {"test": ["a"], "validation": []}, 2.0)


def test_a_drive_can_be_held_out_by_its_name():
    table = pd.DataFrame({"drive": list("aabbcc"), "row": range(6), "time": [0.0, 1, 0, 1, 0, 1]})
    split = assign(table, {"test": ["b"], "validation": ["c"]}, 2.0)
    assert split.tolist() == ["train"] * 2 + ["test"] * 2 + ["validation"] * 2


# --- what can be wrong -------------------------------------------------------------------------------------------


def test_a_truncated_image_stops_or_is_left_out_and_counted(tmp_path):
    log = recordings.udacity_sim(tmp_path / "sim")
    path = tmp_path / "sim" / log["center"][10]
    path.write_bytes(path.read_bytes()[:300])
    given = (tmp_path / "sim", tmp_path / "out", "udacity_sim")
    with pytest.raises(UserError, match=r"driving_log\.csv, row 10: the frame is damaged: the image cannot be decoded"):
        preprocess(*given, **recordings.BLOCKS, **recordings.ARGUMENTS)
    assert not (tmp_path / "out" / "facts.json").exists()
    preprocess(*given, **recordings.BLOCKS, **recordings.ARGUMENTS, faults="skip")
    table = tables(tmp_path / "out")["train"]
    assert 10 not in table["row"].tolist() and read_facts(tmp_path / "out")["left_out"]["the frame is damaged"] == 1
    assert len(np.load(tmp_path / "out" / "train_frames.npy")) == len(table)


def test_an_image_of_another_size_is_named(tmp_path):
    log = recordings.udacity_sim(tmp_path / "sim")
    (tmp_path / "sim" / log["center"][3]).write_bytes(recordings.jpeg(np.zeros((10, 20, 3), np.uint8)))
    with pytest.raises(UserError, match=r"row 3: the frame has another size: \(10, 20\) after \(32, 64\)"):
        preprocess(tmp_path / "sim", tmp_path, "udacity_sim", **recordings.BLOCKS, **recordings.ARGUMENTS)


def test_short_runs_are_counted_and_none_left_is_refused(raw, processed, tmp_path):
    rows = tables(processed)
    assert read_facts(processed)["left_out"] == {"frames in runs shorter than 5": 2}
    assert min(table.groupby("run").size().min() for table in rows.values()) >= 5
    longer = {**recordings.ARGUMENTS, "shortest": 21}
    with pytest.raises(UserError, match=r"shortest: no run of 21 frames is left for test and validation; the longest"):
        preprocess(raw, tmp_path, "udacity_sim", **recordings.BLOCKS, **longer)


def test_raw_frames_of_a_wrong_kind_are_refused(processed):
    facts = read_facts(processed)
    assert prepare(np.zeros((2, 3, 40, 50, 3), np.uint8), facts).shape == (2, 3, 61, 61, 3)
    for wrong in (np.zeros((2, 40, 50), np.uint8), np.zeros((40, 50, 3)), np.zeros((1, 0, 50, 3), np.uint8)):
        with pytest.raises(UserError, match=r"Frames must be uint8 of shape \(\.\.\., height, width, 3\)"):
            prepare(wrong, facts)


@pytest.mark.parametrize("shard_megabytes", [None, 0.5])
def test_memory_does_not_grow_with_the_recording(tmp_path, shard_megabytes):
    def peak(frames: int) -> int:
        table = pd.DataFrame({"split": "train", "place": "here"}, index=range(frames))
        blank = np.zeros((480, 640, 3), np.uint8)
        blank_frames = (blank.copy() for _ in range(frames))
        tracemalloc.start()
        with frame_files(tmp_path, shard_megabytes) as files:
            pack(blank_frames, table, files, Crop(0.0, 0.0, 66, 200), BadRows("stop"))
        reached = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return reached

    few, many = peak(20), peak(200)
    made = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert made > 200 * 66 * 200 * 3
    assert many < few + 2**20  # 180 frames more are 7 MB packed, and 166 MB raw


# --- batches -----------------------------------------------------------------------------------------------------


def test_no_window_crosses_a_break_and_every_frame_is_there(processed):
    table = tables(processed)["train"]
    loader = batches.load(processed, "train", 7, batch_size=3, window=4, stretch=5)
    place = torch.arange(len(table), dtype=torch.float32)[:, None]
    loader.targets = torch.cat([place, torch.from_numpy(table["run"].to_numpy(np.float32))[:, None]], 1)
    seen = []
    for frames, targets, _share in loader:
        assert frames.shape[1:] == (8, 61, 61, 3) and targets.shape[1] == 8
        assert (targets[..., 1] == targets[:, :1, 1]).all()  # one run a stretch
        steps = targets[:, 1:, 0] - targets[:, :-1, 0]
        assert ((steps == 1) | ((steps == 0) & (torch.arange(7) < 3))).all()  # the first frame stands, before it
        assert (frames[:, -1] == loader.inputs[targets[:, -1, 0].long()]).all()
        seen += targets[:, 3:, 0].flatten().tolist()
    assert set(seen) == set(range(len(table)))


def test_a_run_is_cut_into_stretches_and_shorter_ones_are_refused():
    starts, firsts = batches.cut(np.array([0, 0, 0, 0, 0, 1, 1, 2]), 2)
    assert starts.tolist() == [0, 2, 3, 5] and firsts.tolist() == [0, 0, 0, 5]
    with pytest.raises(UserError, match=r"batches\.stretch is 6.*the longest has 5"):
        batches.cut(np.array([0, 0, 0, 0, 0, 1, 1, 2]), 6)


def test_frames_that_no_stretch_holds_are_told(capsys):
    batches.tell_of_short(np.repeat([0, 1, 2], [30, 9, 4]), 10, "train")
    assert "train: 13 frames in runs shorter than batches.stretch=10 are left out" in capsys.readouterr().err
    batches.tell_of_short(np.repeat([0, 1, 2], [30, 9, 4]), 4, "train")
    assert capsys.readouterr().err == ""


def test_the_order_is_of_seed_and_epoch_and_goes_on_where_it_stopped(processed):
    def rows(loader) -> list:
        return [targets[:, -1, 2].tolist() + targets[:, -1, 0].tolist() for _, targets, _ in loader]

    loader, other = (batches.load(processed, "train", 7, batch_size=8) for _ in range(2))
    first = rows(loader)
    loader.set_epoch(1)
    assert rows(loader) != first
    other.load_state_dict({**other.state_dict(), "done": 5})
    assert rows(other) == first[5:]
    validation = batches.load(processed, "validation", 7, batch_size=8)
    assert rows(validation) == rows(validation)


# --- the drawn road ----------------------------------------------------------------------------------------------


def test_the_drawn_road_is_the_same_for_a_seed_and_reads_as_a_recording(tmp_path):
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        (tmp_path / name).mkdir()
        samples.make(tmp_path / name, frames=24, seed=seed)
    made = {name: (tmp_path / name / "sample_road.zip").read_bytes() for name in "abc"}
    assert made["a"] == made["b"] != made["c"]
    from lectern.tasks.steering.data.readers import read

    (tmp_path / "a").rename(tmp_path / "sample_road")
    recording = read("udacity_sim", tmp_path / "sample_road", BadRows("stop"))
    assert len(recording.table) == 24 and find_runs(recording.table, 0.5).nunique() == 4
    assert next(iter(recording.frames(recording.table))).shape == (80, 160, 3)


def test_the_drawn_car_stays_on_the_road_and_turns_both_ways():
    from lectern.tasks.steering.data.road import HALF_WIDTH, drive

    driven = drive(600, np.random.default_rng(3))
    assert abs(driven.offset).max() < HALF_WIDTH
    assert driven.steering.min() < -0.1 and driven.steering.max() > 0.1
    assert driven.throttle.min() >= 0 and driven.throttle.max() <= 1 and driven.speed[50:].min() > 3


def test_a_recording_to_be_brought_says_what_to_put_where(tmp_path):
    out = tmp_path / "deeptesla" / ".scratch"
    with pytest.raises(UserError, match=r"Bring your own recording: videos, into .*/deeptesla; then run: python"):
        samples.make(out, bring="videos")
