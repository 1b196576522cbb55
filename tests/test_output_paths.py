"""Test that a command checks its output path before it starts, and that it does not overwrite other files."""

from pathlib import Path

import av
import numpy as np
import pytest

import steering_recordings as recordings
from children import lectern
from lectern.errors import UserError
from lectern.tasks.steering.data.readers.videos import count_frames, frame_rate
from lectern.tasks.steering.serving.video_writer import write_video
from lectern.user_files.output_path import check_output_path


def test_a_file_is_accepted_until_it_exists(tmp_path):
    path = tmp_path / "new.PNG"
    check_output_path("--out", path, [".png"])
    assert not path.exists()
    path.touch()
    with pytest.raises(UserError, match="already exists"):
        check_output_path("--out", path, [".png"])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("new.jpg", "must end in .png"),
        ("missing/new.png", "does not exist. Create the folder with `mkdir -p"),
        ("folder.png", "folder.png is a folder"),
        ("old.png", "already exists. Choose a different file name, or add --overwrite"),
    ],
)
def test_other_paths_are_refused(tmp_path, name, message):
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "old.png").touch()
    with pytest.raises(UserError, match=message):
        check_output_path("--out", tmp_path / name, [".png"])


def test_an_existing_file_is_replaced_only_on_request_and_an_input_never(tmp_path):
    old = tmp_path / "old.png"
    old.touch()
    check_output_path("--out", old, [".png"], overwrite=True)
    (tmp_path / "link.png").symlink_to(old)
    with pytest.raises(UserError, match="is the input of this command"):
        check_output_path("--out", tmp_path / "link.png", [".png"], overwrite=True, inputs=[old])


# Each command, with a model that does not exist: the path is checked before the model is loaded.

COMMANDS = {
    "steer": ["steer", "none", "--video", "x.mp4", "--out"],
    "translate": ["translate", "none", "a sentence", "--attention"],
    "export": ["export", "none", "--out"],
    "by-length": ["by-length", "none", "--out"],
    "memory": ["memory", "none", "--out"],
    "predict": ["predict", "none", "--input", "x.mp4", "--output"],
}
SUFFIX = {"steer": ".mp4", "export": ".onnx", "predict": ".csv"}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_checks_its_output_first(project, command):
    suffix = SUFFIX.get(command, ".png")
    Path(f"old{suffix}").write_text("mine")
    for name, message in (
        (f"old{suffix}", "already exists"),
        (f"missing/new{suffix}", "does not exist"),
        ("new.xyz", "must end in"),
    ):
        ended = lectern(*COMMANDS[command], name)
        assert ended.code == 1 and message in ended.said, ended.said
    assert Path(f"old{suffix}").read_text() == "mine"


def test_steer_replaces_neither_its_video_nor_a_table(project):
    video = Path("drive.mp4")
    write_video([recordings.draw_frame(0.1)] * 4, video, 10.0)
    content = video.read_bytes()
    ended = lectern("steer", "none", "--video", "drive.mp4", "--out", "drive.mp4", "--overwrite")
    assert ended.code == 1 and "drive.mp4 is the input of this command" in ended.said
    Path("new.csv").write_text("mine")
    ended = lectern("steer", "none", "--video", "drive.mp4", "--out", "new.mp4")
    assert ended.code == 1 and "new.csv already exists" in ended.said
    assert video.read_bytes() == content and Path("new.csv").read_text() == "mine"


@pytest.mark.parametrize("rate", [2.5, 30000 / 1001, 10.0, 12.5])
def test_a_video_keeps_its_frame_rate(tmp_path, rate):
    frames = [np.full((32, 64, 3), number * 10, np.uint8) for number in range(20)]
    write_video(frames, tmp_path / "drive.mp4", rate)
    assert (
        frame_rate(tmp_path / "drive.mp4") == pytest.approx(rate, rel=1e-6)
        and count_frames(tmp_path / "drive.mp4") == 20
    )
    with av.open(str(tmp_path / "drive.mp4")) as container:
        stream = container.streams.video[0]
        assert float(stream.duration * stream.time_base) == pytest.approx(20 / rate, rel=0.01)
