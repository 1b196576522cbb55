"""Test that a video file cannot refer to other files, and that visitors who play the same drive do not interfere."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest

from lectern.errors import UserError
from lectern.tasks.steering.data.readers.videos import read_video
from lectern.tasks.steering.serving.playback import write_and_prepare
from lectern.tasks.steering.serving.request import read_limited_video
from lectern.tasks.steering.serving.video_writer import write_video

FRAMES = np.random.default_rng(0).integers(0, 255, (6, 64, 64, 3), dtype=np.uint8)
FACTS = {"prepare": {"top": 0.0, "bottom": 0.0, "height": 64, "width": 64}}
SDP = "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"
REFERENCES = {
    "playlist": ("x.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{path}\n#EXT-X-ENDLIST\n"),
    "list of files": ("x.ffconcat", "ffconcat version 1.0\nfile {name}\n"),
    "list of files with another ending": ("x.mp4", "ffconcat version 1.0\nfile {name}\n"),
    "network stream": (
        "x.sdp",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
    ),
}


@pytest.mark.parametrize(("name", "text"), REFERENCES.values(), ids=REFERENCES)
def test_a_file_that_refers_to_a_video_is_refused(tmp_path, name, text):
    video = tmp_path / "private.mp4"
    write_video(iter(FRAMES), video, 10.0)
    assert len(list(read_video(video))) == len(FRAMES)
    (tmp_path / name).write_text(text.format(path=video, name=video.name))
    with pytest.raises(UserError, match="cannot be read as a video.*Expected a file such as .mp4"):
        list(read_video(tmp_path / name))


def test_two_visitors_who_play_the_same_drive_get_a_complete_video(tmp_path):
    barrier = Barrier(2)

    def frames():
        for number, frame in enumerate(FRAMES):
            if number in (1, len(FRAMES) - 1):
                barrier.wait(60)  # both videos are being written at the same time
            yield frame

    def play(_: int) -> np.ndarray:
        return write_and_prepare(frames(), FACTS, tmp_path / "drive.mp4", 10.0)

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(play, range(2))
    assert np.array_equal(first, FRAMES) and np.array_equal(second, FRAMES)
    assert len(list(read_video(tmp_path / "drive.mp4"))) == len(FRAMES)
    assert [path.name for path in tmp_path.iterdir()] == ["drive.mp4"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["drive.mp4", "drive.mkv", "drive.avi"])
def test_a_damaged_video_is_read_or_refused(tmp_path, name):
    video = tmp_path / name
    write_video(iter(FRAMES), video, 10.0)
    content, random = video.read_bytes(), np.random.default_rng(0)
    outcomes = set()
    for _ in range(15):
        damaged = bytearray(content)
        for position in random.integers(0, len(damaged), 8):
            damaged[position] = random.integers(256)
        video.write_bytes(damaged)
        try:
            list(read_limited_video(video, 1.0))
            outcomes.add("read")
        except UserError:
            outcomes.add("refused")
    assert outcomes == {"read", "refused"}  # every other exception fails the test


@pytest.mark.parametrize(
    ("found", "replaced"), [(b"avc1", b"zzzz"), (b"Lavf", b"\xff\xfe\xfd\xfc")], ids=["unknown codec", "not UTF-8"]
)
def test_an_unknown_codec_is_refused_and_wrong_metadata_is_ignored(tmp_path, found, replaced):
    video = tmp_path / "drive.mp4"
    write_video(iter(FRAMES), video, 10.0)
    assert found in video.read_bytes()
    video.write_bytes(video.read_bytes().replace(found, replaced))
    if found == b"avc1":
        with pytest.raises(UserError, match="its codec is unknown. Convert the video to H.264"):
            list(read_limited_video(video, 1.0))
    else:
        assert len(list(read_limited_video(video, 1.0))) == len(FRAMES)
