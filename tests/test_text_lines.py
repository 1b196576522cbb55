"""Test that only a line feed ends a line, in every file that Lectern reads."""

import re
from pathlib import Path

import pytest

from lectern.artifacts import history_file
from lectern.artifacts.history_file import Record, TextSample
from lectern.artifacts.text_lines import split_lines
from lectern.serving.batch_inputs import count_file_inputs, read_table
from lectern.tasks.steering.data.readers import donkey
from lectern.tasks.steering.data.readers.files import RecordingFiles

ROOT = Path(__file__).parents[1]
# characters at which str.splitlines splits, apart from the line feed
OTHERS = ["\v", "\f", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029", "\r"]


def test_no_code_splits_lines_in_another_way():
    files = [*(ROOT / "src").rglob("*.py"), *(ROOT / "pipelines").rglob("*.py")]
    assert [path for path in files if re.search(r"\.splitlines\(|\.readlines\(", path.read_text("utf-8"))] == []


@pytest.mark.parametrize("text", ["", "a", "a\n", "a\n\n", "\n", "a\r\nb\r\n", "a\r\nb"])
def test_usual_texts_are_split_as_by_python(text):
    assert split_lines(text) == text.splitlines()


@pytest.mark.parametrize("character", OTHERS)
def test_other_characters_do_not_end_a_line(character):
    assert split_lines(f"a{character}b\nc") == [f"a{character}b", "c"]


def test_text_samples_with_any_character_are_read_back(tmp_path):
    samples = [TextSample(1, 0, "text", f"a{character}b") for character in OTHERS]
    history_file.write_history([Record(1, 0, "train_loss", 0.5)], samples, tmp_path)
    assert history_file.read_history(tmp_path)[1] == samples


@pytest.mark.parametrize("character", OTHERS)
def test_a_text_file_for_predictions_has_one_row_per_line(tmp_path, character):
    path = tmp_path / "lines.txt"
    path.write_bytes(f"\ufeffone{character}two\r\n\nthree".encode())
    rows = [row.cells[0] for row in read_table(path, ["source"])]
    assert rows == [f"one{character}two", "", "three"] and count_file_inputs(path) == 3


@pytest.mark.parametrize("text", ["", "a", "a\n", "a\n\n", "\n", "a\r\nb\r\n", "a\r\nb", "\r"])
def test_a_text_file_for_predictions_has_the_rows_of_split_lines(tmp_path, text):
    (tmp_path / "lines.txt").write_bytes(text.encode())
    assert [row.cells[0] for row in read_table(tmp_path / "lines.txt", ["source"])] == split_lines(text)


def test_a_catalog_of_a_donkey_tub_is_split_at_line_feeds(tmp_path):
    """JSON allows U+2028 inside a text."""
    (tmp_path / "a.catalog").write_bytes('{"_index": 0, "note": "a\u2028b"}\n{"_index": 1}\n'.encode())
    rows = list(donkey.read_catalog(RecordingFiles(tmp_path), "a.catalog"))
    assert [row["_index"] for _, row in rows] == [0, 1]
