"""Readers: every format comes out in one form, and a bad file or row is named."""

import zipfile

import numpy as np
import pandas as pd
import pytest

import steering_recordings as recordings
from lectern.errors import UserError
from lectern.tasks.steering.data.readers import READERS, read
from lectern.tasks.steering.data.readers.bad_rows import BadRows
from lectern.tasks.steering.data.readers.videos import count_frames, read_video
from lectern.tasks.steering.data.validation import usable


def stop() -> BadRows:
    return BadRows("stop")


def post(picture: np.ndarray) -> float:
    """The angle that a frame of `recordings` shows."""
    column = picture[20].astype(int) @ [1, 1, -1]
    return float((np.arange(len(column)) * (column > 300)).sum() / (column > 300).sum() - 3.5) / 55 * 2 - 1


def test_every_format_gives_one_form_and_the_right_frames(tmp_path):
    recordings.udacity_sim(tmp_path / "udacity_sim", 20, 10)
    recordings.donkey(tmp_path / "donkey", deleted=())
    recordings.udacity_challenge(tmp_path / "udacity_challenge")
    recordings.rosbag(tmp_path / "rosbag" / "a.bag")
    recordings.deeptesla(tmp_path / "deeptesla")
    for name in READERS:
        recording = read(name, tmp_path / name, stop())
        assert {"drive", "row", "time", "angle", "place"} <= set(recording.table), name
        assert recording.table["row"].is_monotonic_increasing and recording.unit.lock > 0
        assert not recording.table[["time", *recording.targets]].isna().any().any(), name
        some = recording.table.iloc[2::3]  # some rows, not all: what a split is
        frames = list(recording.frames(some))
        assert len(frames) == len(some) and all(picture.shape == (32, 64, 3) for picture in frames), name
        if name != "rosbag":  # whose angles are reported apart from its frames
            scale = {"deeptesla": 10}.get(name, 1)
            assert np.allclose([post(picture) for picture in frames], some["angle"] / scale, atol=0.06), name


def test_a_stored_zip_is_read_as_the_folder_is(tmp_path):
    log = recordings.udacity_sim(tmp_path / "loose", 6, 6)
    (tmp_path / "sim").mkdir()
    with zipfile.ZipFile(tmp_path / "sim" / "sim.zip", "w") as archive:
        for path in (tmp_path / "loose").rglob("*"):
            archive.write(path, path.relative_to(tmp_path / "loose"))
    recording = read("udacity_sim", tmp_path / "sim", stop())
    assert recording.table["angle"].tolist() == log["steering"].tolist()
    assert recording.table["time"].diff().dropna().round(3).tolist() == [0.1] * 5
    assert [f.shape for f in recording.frames(recording.table)] == [(32, 64, 3)] * 6


def test_a_tub_leaves_out_what_was_struck_out(tmp_path):
    recordings.donkey(tmp_path, deleted=(3, 4, 30))
    table = read("donkey", tmp_path, stop()).table
    assert table["row"].tolist() == [n for n in range(40) if n not in (3, 4, 30)]
    assert table["time"].diff().max() == pytest.approx(0.15)


def test_a_bag_is_interpolated_at_the_frames_times(tmp_path):
    for compressed in (True, False):
        recordings.rosbag(tmp_path / str(compressed) / "drive.bag", compressed=compressed)
        recording = read("rosbag", tmp_path / str(compressed), stop())
        assert recording.table["angle"].to_numpy() == pytest.approx(0.025 * np.arange(10), abs=1e-6)
        assert recording.targets == ["angle", "speed", "torque"]
        frames = list(recording.frames(recording.table))
        assert [post(picture) for picture in frames] == pytest.approx(0.1 * np.arange(10) - 0.5, abs=0.06)


def test_the_other_cameras_of_the_challenge_are_not_used(tmp_path):
    recordings.udacity_challenge(tmp_path, frames=5)
    table = read("udacity_challenge", tmp_path, stop()).table
    assert len(table) == 10 and table["drive"].unique().tolist() == ["HMB_1", "HMB_2"]
    assert table["image"].str.contains("center/").all()


def test_a_video_is_counted_as_it_is_decoded(tmp_path):
    recordings.deeptesla(tmp_path, frames=17)
    assert count_frames(tmp_path / "epoch01_front.mkv") == 17 == len(list(read_video(tmp_path / "epoch01_front.mkv")))


# --- what can be wrong -------------------------------------------------------------------------------------------


def change(raw, row: int, column: str, value) -> None:
    log = pd.read_csv(raw / "driving_log.csv").astype(object)
    log.loc[row, column] = value
    log.to_csv(raw / "driving_log.csv", index=False)


BAD_ROWS = {
    "not a number": ("steering", "left", "angle is no number"),
    "empty": ("speed", None, "speed is no number"),
    "outside the lock": ("steering", 1.7, "outside the lock of 1"),
    "backwards": ("center", "IMG/center_2016_12_01_13_29_59_000.jpg", "the time runs backwards"),
    "no time": ("center", "IMG/center_noon.jpg", "time is no number"),
    "no frame": ("center", "IMG/center_2016_12_01_13_30_00_777.jpg", "names a frame that is not there"),
}


@pytest.mark.parametrize("case", BAD_ROWS)
def test_a_bad_row_stops_and_is_named_or_is_left_out_and_counted(tmp_path, case):
    column, value, words = BAD_ROWS[case]
    recordings.udacity_sim(tmp_path, 8, 8)
    change(tmp_path, 5, column, value)
    if column == "center" and case != "no frame":
        (tmp_path / value).write_bytes(recordings.jpeg(recordings.frame(0)))
    with pytest.raises(UserError, match=rf"driving_log\.csv, row 5: .*{words}.*faults=skip"):
        usable(read("udacity_sim", tmp_path, stop()), stop())
    faults = BadRows("skip")
    table = usable(read("udacity_sim", tmp_path, faults), faults)
    assert table["row"].tolist() == [0, 1, 2, 3, 4, 6, 7] and sum(faults.counts.values()) == 1


def test_a_log_without_a_column_stops(tmp_path):
    recordings.udacity_sim(tmp_path, 3, 3)
    log = pd.read_csv(tmp_path / "driving_log.csv").drop(columns=["steering", "speed"])
    log.to_csv(tmp_path / "driving_log.csv", index=False)
    with pytest.raises(UserError, match=r"driving_log\.csv: the columns steering, speed are missing"):
        read("udacity_sim", tmp_path, stop())


def test_a_video_and_a_log_of_different_lengths_stop(tmp_path):
    recordings.deeptesla(tmp_path, frames=12, rows=10)
    with pytest.raises(UserError, match=r"epoch01_front\.mkv holds 12 frames, but .*epoch01_steering\.csv 10 rows"):
        read("deeptesla", tmp_path, stop())


def test_what_is_no_recording_is_told(tmp_path):
    (tmp_path / "empty").mkdir()
    for name, words in {
        "udacity_sim": "no driving_log.csv",
        "donkey": "no manifest.json",
        "udacity_challenge": "no file 'interpolated.csv'",
        "rosbag": "no file '.bag'",
        "deeptesla": "no file '_front.mkv'",
    }.items():
        with pytest.raises(UserError, match=words):
            read(name, tmp_path / "empty", stop())
    with pytest.raises(UserError, match=r"is not there\. Download it \(dvc repro download@nowhere\)"):
        read("udacity_sim", tmp_path / "nowhere", stop())
    with pytest.raises(UserError, match="'donky'; did you mean 'donkey'"):
        read("donky", tmp_path, stop())
    with pytest.raises(UserError, match="'ignore'; it is `stop` or `skip`"):
        BadRows("ignore")


def test_damaged_files_are_told(tmp_path):
    recordings.donkey(tmp_path / "tub", frames=4)
    (tmp_path / "tub" / "catalog_0.catalog").write_text('{"_index": 0}\n')
    with pytest.raises(UserError, match=r"catalog_0\.catalog, row 0: this is no row of a tub"):
        read("donkey", tmp_path / "tub", stop())
    (tmp_path / "tub" / "manifest.json").write_text("[]\n")
    with pytest.raises(UserError, match=r"manifest\.json: its last line"):
        read("donkey", tmp_path / "tub", stop())
    (tmp_path / "bags").mkdir()
    (tmp_path / "bags" / "a.bag").write_bytes(b"#ROSBAG V2.0\n" + b"\0" * 50)
    with pytest.raises(UserError, match=r"a\.bag is no whole ROS bag"):
        read("rosbag", tmp_path / "bags", stop())
    recordings.rosbag(tmp_path / "blind" / "a.bag", images=False)
    with pytest.raises(UserError, match=r"a\.bag holds no image of /center_camera"):
        read("rosbag", tmp_path / "blind", stop())
    (tmp_path / "film").mkdir()
    (tmp_path / "film" / "epoch01_front.mkv").write_bytes(b"no video")
    (tmp_path / "film" / "epoch01_steering.csv").write_text("ts_micro,frame_index,wheel\n0,0,0\n")
    with pytest.raises(UserError, match=r"epoch01_front\.mkv cannot be read as a video"):
        read("deeptesla", tmp_path / "film", stop())
