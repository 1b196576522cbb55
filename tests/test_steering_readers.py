"""Test that all readers return recordings in the same format, and report bad files and rows."""

import zipfile

import numpy as np
import pandas as pd
import pytest

import steering_recordings as recordings
from lectern.errors import UserError
from lectern.tasks.steering.data.readers.bad_rows import BadRows
from lectern.tasks.steering.data.readers.formats import READERS, read_recording
from lectern.tasks.steering.data.readers.videos import count_frames, read_video
from lectern.tasks.steering.data.row_checks import drop_bad_rows


def stop() -> BadRows:
    return BadRows("stop")


def visible_angle(frame: np.ndarray) -> float:
    """Return the angle that a frame drawn by `steering_recordings` shows."""
    is_post = frame[20].astype(int) @ [1, 1, -1] > 300
    return float((np.arange(len(is_post)) * is_post).sum() / is_post.sum() - 3.5) / 55 * 2 - 1


def test_every_format_is_read_to_the_common_form_with_matching_frames(tmp_path):
    recordings.write_udacity_sim(tmp_path / "udacity_sim", 20, 10)
    recordings.write_donkey(tmp_path / "donkey", deleted=())
    recordings.write_udacity_challenge(tmp_path / "udacity_challenge")
    recordings.write_rosbag(tmp_path / "rosbag" / "a.bag")
    recordings.write_deeptesla(tmp_path / "deeptesla")
    for name in READERS:
        recording = read_recording(name, tmp_path / name, stop())
        assert {"drive", "row", "time", "angle", "place"} <= set(recording.table), name
        assert recording.table["row"].is_monotonic_increasing and recording.unit.lock > 0
        assert not recording.table[["time", *recording.targets]].isna().any().any(), name
        rows = recording.table.iloc[2::3]  # Only some of the rows are read, as in a split.
        frames = list(recording.decode(rows))
        assert len(frames) == len(rows) and all(frame.shape == (32, 64, 3) for frame in frames), name
        # Frames and reports of a ROS bag have different angles. The test of the interpolation checks the ROS bag.
        if name != "rosbag":
            scale = {"deeptesla": 10}.get(name, 1)
            assert np.allclose([visible_angle(frame) for frame in frames], rows["angle"] / scale, atol=0.06), name


def test_zip_file_is_read_like_a_folder(tmp_path):
    log = recordings.write_udacity_sim(tmp_path / "folder", 6, 6)
    (tmp_path / "sim").mkdir()
    with zipfile.ZipFile(tmp_path / "sim" / "sim.zip", "w") as archive:
        for path in (tmp_path / "folder").rglob("*"):
            archive.write(path, path.relative_to(tmp_path / "folder"))
    recording = read_recording("udacity_sim", tmp_path / "sim", stop())
    assert recording.table["angle"].tolist() == log["steering"].tolist()
    assert recording.table["time"].diff().dropna().round(3).tolist() == [0.1] * 5
    assert [frame.shape for frame in recording.decode(recording.table)] == [(32, 64, 3)] * 6


def test_deleted_rows_of_a_donkey_tub_are_left_out(tmp_path):
    recordings.write_donkey(tmp_path, deleted=(3, 4, 30))
    table = read_recording("donkey", tmp_path, stop()).table
    assert table["row"].tolist() == [row for row in range(40) if row not in (3, 4, 30)]
    assert table["time"].diff().max() == pytest.approx(0.15)


def test_reports_of_a_ros_bag_are_interpolated_at_the_times_of_its_frames(tmp_path):
    for compressed in (True, False):
        recordings.write_rosbag(tmp_path / str(compressed) / "drive.bag", compressed=compressed)
        recording = read_recording("rosbag", tmp_path / str(compressed), stop())
        assert recording.table["angle"].to_numpy() == pytest.approx(0.025 * np.arange(10), abs=1e-6)
        assert recording.targets == ["angle", "speed", "torque"]
        angles = [visible_angle(frame) for frame in recording.decode(recording.table)]
        assert angles == pytest.approx(0.1 * np.arange(10) - 0.5, abs=0.06)


def test_only_the_center_camera_of_the_challenge_is_used(tmp_path):
    recordings.write_udacity_challenge(tmp_path, frames=5)
    table = read_recording("udacity_challenge", tmp_path, stop()).table
    assert len(table) == 10 and table["drive"].unique().tolist() == ["HMB_1", "HMB_2"]
    assert table["image"].str.contains("center/").all()


def test_counted_frames_of_a_video_equal_its_decoded_frames(tmp_path):
    recordings.write_deeptesla(tmp_path, frames=17)
    video = tmp_path / "epoch01_front.mkv"
    assert count_frames(video) == 17 == len(list(read_video(video)))


# Bad input


def change_log(raw, row: int, column: str, value) -> None:
    log = pd.read_csv(raw / "driving_log.csv").astype(object)
    log.loc[row, column] = value
    log.to_csv(raw / "driving_log.csv", index=False)


BAD_ROWS = {
    "text instead of a number": ("steering", "left", "angle is not a number"),
    "empty": ("speed", None, "speed is not a number"),
    "outside the lock": ("steering", 1.7, "exceeds the lock of 1"),
    "backwards": ("center", "IMG/center_2016_12_01_13_29_59_000.jpg", "the time runs backwards"),
    "no time": ("center", "IMG/center_noon.jpg", "time is not a number"),
    "missing frame": ("center", "IMG/center_2016_12_01_13_30_00_777.jpg", "the log names a missing frame"),
}


@pytest.mark.parametrize("case", BAD_ROWS)
def test_a_bad_row_is_reported_with_its_position_or_skipped_and_counted(tmp_path, case, capsys):
    column, value, reason = BAD_ROWS[case]
    recordings.write_udacity_sim(tmp_path, 8, 8)
    change_log(tmp_path, 5, column, value)
    if column == "center" and case != "missing frame":
        (tmp_path / value).write_bytes(recordings.encode_jpeg(recordings.draw_frame(0)))
    with pytest.raises(UserError, match=rf"driving_log\.csv, row 5: .*{reason}.*preprocess\.bad_rows=skip"):
        drop_bad_rows(read_recording("udacity_sim", tmp_path, stop()), stop())
    bad_rows = BadRows("skip")
    table = drop_bad_rows(read_recording("udacity_sim", tmp_path, bad_rows), bad_rows)
    assert table["row"].tolist() == [0, 1, 2, 3, 4, 6, 7] and sum(bad_rows.counts.values()) == 1
    assert reason in capsys.readouterr().err


def test_log_without_a_required_column_is_rejected(tmp_path):
    recordings.write_udacity_sim(tmp_path, 3, 3)
    log = pd.read_csv(tmp_path / "driving_log.csv").drop(columns=["steering", "speed"])
    log.to_csv(tmp_path / "driving_log.csv", index=False)
    with pytest.raises(UserError, match=r"driving_log\.csv: the columns steering, speed are missing"):
        read_recording("udacity_sim", tmp_path, stop())


def test_video_and_log_of_different_lengths_are_rejected(tmp_path):
    recordings.write_deeptesla(tmp_path, frames=12, rows=10)
    message = r"epoch01_front\.mkv contains 12 frames, but .*epoch01_steering\.csv has 10 rows"
    with pytest.raises(UserError, match=message):
        read_recording("deeptesla", tmp_path, stop())


MISSING_FILES = {
    "udacity_sim": "contains no driving_log.csv",
    "donkey": "contains no manifest.json",
    "udacity_challenge": r"contains no file '\*interpolated.csv'",
    "rosbag": r"contains no file '\*.bag'",
    "deeptesla": r"contains no file '\*_front.mkv'",
}


@pytest.mark.parametrize("reader", MISSING_FILES)
def test_folder_without_the_files_of_the_format_is_rejected(tmp_path, reader):
    with pytest.raises(UserError, match=MISSING_FILES[reader]):
        read_recording(reader, tmp_path, stop())


def test_missing_folder_and_unknown_names_are_rejected(tmp_path):
    with pytest.raises(UserError, match=r"does not exist\. Run `dvc repro download@nowhere`"):
        read_recording("udacity_sim", tmp_path / "nowhere", stop())
    with pytest.raises(UserError, match="unknown format 'donky'; did you mean 'donkey'"):
        read_recording("donky", tmp_path, stop())
    with pytest.raises(UserError, match="'ignore'; expected 'stop' or 'skip'"):
        BadRows("ignore")


def test_damaged_donkey_tub_is_rejected(tmp_path):
    recordings.write_donkey(tmp_path, frames=4)
    (tmp_path / "catalog_0.catalog").write_text('{"_index": 0}\n')
    with pytest.raises(UserError, match=r"catalog_0\.catalog, row 0: the row .* lacks the keys _timestamp_ms"):
        read_recording("donkey", tmp_path, stop())
    (tmp_path / "manifest.json").write_text("[]\n")
    with pytest.raises(UserError, match=r"manifest\.json: the last line"):
        read_recording("donkey", tmp_path, stop())


def test_empty_rows_of_a_donkey_tub_that_are_deleted_are_left_out(tmp_path):
    """donkeycar's converter fills gaps with rows that do not have an index."""
    recordings.write_donkey(tmp_path, frames=6, deleted=(2,))
    catalog = tmp_path / "catalog_0.catalog"
    lines = catalog.read_text().split("\n")
    lines[2] = '{"__empty__": true}'
    catalog.write_text("\n".join(lines))
    assert read_recording("donkey", tmp_path, stop()).table["row"].tolist() == [0, 1, 3, 4, 5]
    lines[3] = '{"__empty__": true}'
    catalog.write_text("\n".join(lines))
    with pytest.raises(UserError, match="row 3: .* lacks the keys _index, .*; it has: __empty__"):
        read_recording("donkey", tmp_path, stop())


def test_the_error_for_a_donkey_tub_of_version_1_names_the_conversion_script(tmp_path):
    (tmp_path / "record_1.json").write_text('{"user/angle": 0.1}')
    with pytest.raises(UserError, match=r"tub of version 1.*convert_to_tub_v2\.py.*preprocess\.frame_rate"):
        read_recording("donkey", tmp_path, stop())


def test_a_log_of_the_simulator_may_have_no_header(tmp_path):
    log = recordings.write_udacity_sim(tmp_path, 6, 6)
    log.to_csv(tmp_path / "driving_log.csv", index=False, header=False)
    table = read_recording("udacity_sim", tmp_path, stop()).table
    assert table["angle"].tolist() == log["steering"].tolist() and table["speed"].tolist() == log["speed"].tolist()


@pytest.mark.parametrize("header", [True, False])
def test_decimal_commas_in_a_log_are_reported(tmp_path, header):
    recordings.write_udacity_sim(tmp_path, 6, 6)
    lines = (tmp_path / "driving_log.csv").read_text().split("\n")
    rows = [line.replace("0.", "0,") for line in lines[1:]]
    (tmp_path / "driving_log.csv").write_text("\n".join([lines[0]] * header + rows))
    with pytest.raises(UserError, match="decimal commas" if header else "the columns center, .* are missing"):
        read_recording("udacity_sim", tmp_path, stop())


def test_damaged_ros_bag_and_bag_without_images_are_rejected(tmp_path):
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "a.bag").write_bytes(b"#ROSBAG V2.0\n" + b"\0" * 50)
    with pytest.raises(UserError, match=r"a\.bag is not a complete ROS bag"):
        read_recording("rosbag", tmp_path / "damaged", stop())
    recordings.write_rosbag(tmp_path / "no_images" / "a.bag", images=False)
    with pytest.raises(UserError, match=r"a\.bag contains no image of /center_camera"):
        read_recording("rosbag", tmp_path / "no_images", stop())


def test_damaged_video_is_rejected(tmp_path):
    (tmp_path / "epoch01_front.mkv").write_bytes(b"no video")
    (tmp_path / "epoch01_steering.csv").write_text("ts_micro,frame_index,wheel\n0,0,0\n")
    with pytest.raises(UserError, match=r"epoch01_front\.mkv cannot be read as a video"):
        read_recording("deeptesla", tmp_path, stop())
