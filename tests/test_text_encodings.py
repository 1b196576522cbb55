"""Test that errors name the place of text that is not UTF-8, and that files of an operating system are skipped."""

import zipfile
from pathlib import PurePath

import pytest

import steering_recordings as recordings
from children import lectern
from lectern.errors import UserError
from lectern.serving.batch_inputs import find_input_files
from lectern.tasks.language_model.data.preprocess import read_works
from lectern.tasks.steering.data.readers.bad_rows import BadRows
from lectern.tasks.steering.data.readers.formats import read_recording
from lectern.tasks.steering.data.readers.videos import read_video
from lectern.tasks.translation.data.text_files import read_lines
from lectern.user_files.plain_text import decode_text
from lectern.user_files.system_files import is_system_file

TEXT = "Zürich\nline two\n"


def test_a_byte_order_mark_is_not_part_of_a_text(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbf" + TEXT.encode())
    assert read_works(tmp_path) == {"a.txt": TEXT}
    assert read_lines(tmp_path, "a.txt") == ["Zürich", "line two"]


@pytest.mark.parametrize(
    ("encoding", "message"),
    [
        ("utf-16", "is UTF-16 or UTF-32 text. Convert it to UTF-8"),
        ("utf-16-le", r"iconv|byte 0xfc is not UTF-8"),
        ("utf-32", "is UTF-16 or UTF-32 text"),
        ("latin-1", "line 1: byte 0xfc is not UTF-8 text"),
    ],
)
def test_other_encodings_are_refused(tmp_path, encoding, message):
    (tmp_path / "a.txt").write_bytes(TEXT.encode(encoding))
    with pytest.raises(UserError, match=message):
        read_works(tmp_path)
    with pytest.raises(UserError, match=message):
        read_lines(tmp_path, "a.txt")


def test_utf_16_without_a_mark_is_refused():
    with pytest.raises(UserError, match=r"notes, line 1: the text contains a NUL character.*iconv -f UTF-16LE"):
        decode_text("plain".encode("utf-16-le"), "notes")


@pytest.mark.parametrize("command", [["write", "none", "--prompt"], ["translate", "none"]])
def test_an_argument_that_is_not_utf_8_is_refused(project, command):
    ended = lectern(*command, "a\udcffb")
    assert ended.code == 1 and "a byte at position 1 that is not UTF-8" in ended.said and "Traceback" not in ended.said


# Files of an operating system

SYSTEM_FILES = ["._a.txt", ".DS_Store", "Thumbs.db", "desktop.ini", ".ipynb_checkpoints/a.txt", "__MACOSX/a.txt"]


@pytest.mark.parametrize("name", SYSTEM_FILES)
def test_system_files_are_recognized(name):
    assert is_system_file(PurePath(name)) and is_system_file(PurePath("folder") / name)


@pytest.mark.parametrize("name", ["a.txt", "a/b.txt", "thumbs.txt", "a.b.txt"])
def test_other_files_are_data(name):
    assert not is_system_file(PurePath(name))


def test_system_files_of_a_text_folder_are_skipped(tmp_path):
    (tmp_path / "a.txt").write_text(TEXT)
    (tmp_path / "._a.txt").write_bytes(b"\x00\x05\x16\x07 not text")
    assert list(read_works(tmp_path)) == ["a.txt"]


def test_system_files_among_images_and_inputs_are_skipped(tmp_path):
    for name in ("0.jpg", "._0.jpg"):
        (tmp_path / name).write_bytes(recordings.encode_jpeg(recordings.draw_frame(0.1)) if name == "0.jpg" else b"\0")
    (tmp_path / "Thumbs.db").write_bytes(b"\0")
    assert len(list(read_video(tmp_path))) == 1
    assert [path.name for path in find_input_files(tmp_path)] == ["0.jpg"]


def test_system_files_of_recordings_are_skipped(tmp_path):
    recordings.write_rosbag(tmp_path / "bags" / "a.bag")
    (tmp_path / "bags" / "._a.bag").write_bytes(b"\0")
    assert len(read_recording("rosbag", tmp_path / "bags", BadRows("stop")).table) > 0
    recordings.write_udacity_challenge(tmp_path / "drives")
    (tmp_path / "zipped").mkdir()
    with zipfile.ZipFile(tmp_path / "zipped" / "zipped.zip", "w") as archive:
        for path in (tmp_path / "drives").rglob("*.*"):
            name = path.relative_to(tmp_path / "drives")
            archive.write(path, name)
            archive.writestr(f"__MACOSX/{name.parent}/._{name.name}", b"\0")
    tables = [
        read_recording("udacity_challenge", tmp_path / name, BadRows("stop")).table for name in ("drives", "zipped")
    ]
    assert len(tables[0]) == len(tables[1]) > 0
