"""Test that `lectern predict` names all rows that it cannot predict, or collects them in a file."""

import os
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from children import KILLED, at_call, die
from lectern.errors import UserError
from lectern.serving.bad_rows import MAX_REPORTED_ROWS, find_bad_rows
from lectern.serving.batch_inputs import Row
from lectern.serving.part_folder import PartFolder
from predict_command import lectern, predict
from sample_champions import DIGITS, TEXT, TRANSLATION

__all__ = ["lectern"]  # `lectern` is imported because it is a fixture
BAD_ROWS = [
    ("a.txt", 1, "The sentence is empty. Remove it."),
    ("a.txt", 3, "source contains a byte that is not UTF-8"),
    ("b.csv", 1, "the header has 1 column (source), but this line has 2 fields"),
    ("c.parquet", 0, "source is None; expected a text."),
    ("d.txt", 0, "source contains a NUL character"),
    ("d.txt", 1, "The sentence has 60 tokens; this model accepts at most 40."),
]


@pytest.fixture
def sentences(tmp_path) -> Path:
    """Return a folder with sentences in files of several types. The rows in BAD_ROWS cannot be predicted."""
    folder = tmp_path / "sentences"
    folder.mkdir()
    (folder / "a.txt").write_bytes(b"A man sleeps here.\n\nA dog sits.\n\xff\nA man sits.")
    (folder / "b.csv").write_text("source\nA dog sleeps here.\nA man, a dog\n\nA man sits.\n")
    pd.DataFrame({"source": [None, "A dog sits."]}).to_parquet(folder / "c.parquet")
    (folder / "d.txt").write_text("A\0man\n" + "man " * 60 + "\n")
    return folder


@pytest.mark.slow
def test_all_bad_rows_are_named_at_once_before_the_first_prediction(lectern, tmp_path, sentences):
    before = partial(at_call, PartFolder, "write_part", 1, die)
    ended = lectern("predict", TRANSLATION, "--input", sentences, "--output", tmp_path / "out.csv", before=before)
    assert ended.code == 1 and "lectern: 6 rows cannot be predicted:" in ended.said, ended.said
    for file, row, reason in BAD_ROWS:
        assert any(f"{file}, row {row}" in line and reason in line for line in ended.said.split("\n")), ended.said
    assert "a.txt, row 1 (line 2)" in ended.said and "b.csv, row 1 (line 3)" in ended.said
    assert "--bad-rows" in ended.said and not list(tmp_path.glob("out*"))


@pytest.mark.slow
def test_bad_rows_are_collected_and_the_other_rows_are_predicted(lectern, tmp_path, sentences):
    options = ("--bad-rows", tmp_path / "bad.csv", "--param", "n_best=2")
    outputs = predict(lectern, TRANSLATION, sentences, tmp_path / "out.csv", *options)
    bad = pd.read_csv(tmp_path / "bad.csv")
    assert list(bad) == ["item", "row", "reason"] and sorted(zip(bad["item"], bad["row"], strict=True)) == [
        (file, row) for file, row, _ in BAD_ROWS
    ]
    good = [("a.txt", 0), ("a.txt", 2), ("a.txt", 4), ("b.csv", 0), ("b.csv", 2), ("c.parquet", 1)]
    assert list(zip(outputs["item"], outputs["row"], strict=True)) == [pair for pair in good for _ in range(2)]
    (tmp_path / "one.txt").write_text("A dog sits.\n")
    one = predict(lectern, TRANSLATION, tmp_path / "one.txt", tmp_path / "one.csv", *options[2:])
    assert outputs[outputs["item"] == "c.parquet"]["target"].tolist() == one["target"].tolist()


@pytest.mark.slow
def test_a_killed_run_collects_the_same_bad_rows_and_predicts_no_finished_part_again(lectern, tmp_path):
    (tmp_path / "a.txt").write_text("".join(f"A man {'' if row % 50 else row} sits.\n\n" for row in range(80)))
    command = ("predict", TRANSLATION, "--input", tmp_path / "a.txt", "--param", "beam=1")
    undisturbed = ("--output", tmp_path / "x.csv", "--bad-rows", tmp_path / "x_bad.csv")
    killed = ("--output", tmp_path / "y.csv", "--bad-rows", tmp_path / "y_bad.csv")
    assert lectern(*command, *undisturbed).code == 0
    assert lectern(*command, *killed, before=partial(at_call, PartFolder, "write_part", 2, die)).code == KILLED
    assert lectern(*command, *killed, before=partial(at_call, PartFolder, "write_part", 3, die)).code == 0
    assert (tmp_path / "y.csv").read_bytes() == (tmp_path / "x.csv").read_bytes()
    assert (tmp_path / "y_bad.csv").read_bytes() == (tmp_path / "x_bad.csv").read_bytes()
    assert len(pd.read_csv(tmp_path / "y_bad.csv")) == 80


@pytest.mark.slow
def test_damaged_pictures_are_named_together_and_the_finished_parts_are_kept(lectern, tmp_path):
    folder, output = tmp_path / "drawings", tmp_path / "out.csv"
    folder.mkdir()
    for number in range(600):
        Image.fromarray(np.full((28, 28), number % 100, np.uint8)).save(folder / f"{number:03d}.png")
    for number in (520, 590):
        (folder / f"{number}.png").write_bytes(b"damaged")
    command = ("predict", DIGITS, "--input", folder, "--output", output)
    ended = lectern(*command)
    assert ended.code == 1 and "2 rows cannot be predicted" in ended.said, ended.said
    assert "520.png, row 0: The file is not an image" in ended.said and "590.png, row 0" in ended.said
    assert len(list((tmp_path / "out.csv.parts").glob("*.parquet"))) == 1  # the first 512 pictures
    for number in (520, 590):
        (folder / f"{number}.png").unlink()
    ended = lectern(*command, before=partial(at_call, PartFolder, "write_part", 2, die))
    assert ended.code == 0 and len(pd.read_csv(output)) == 598, ended.said


@pytest.mark.slow
def test_many_bad_rows_are_counted_and_the_first_are_named(lectern, tmp_path):
    np.save(tmp_path / "wide.npy", np.zeros((1200, 28, 30), np.uint8))
    ended = lectern("predict", DIGITS, "--input", tmp_path / "wide.npy", "--output", tmp_path / "out.csv")
    assert ended.code == 1 and "1,200 rows cannot be predicted" in ended.said, ended.said
    assert ended.said.count("wide.npy, row") == MAX_REPORTED_ROWS and "and 1,180 more" in ended.said


def test_an_input_without_a_good_row_gives_no_table(lectern, tmp_path):
    (tmp_path / "a.txt").write_text("\n\n")
    options = ("--output", tmp_path / "out.csv", "--bad-rows", tmp_path / "bad.csv")
    ended = lectern("predict", TRANSLATION, "--input", tmp_path / "a.txt", *options)
    assert ended.code == 1 and "contains no rows that can be predicted" in ended.said
    assert not (tmp_path / "out.csv").exists() and len(pd.read_csv(tmp_path / "bad.csv")) == 2


@pytest.mark.parametrize(("text", "rows"), [("a", 1), ("a\n", 1), ("\n", 1), ("a\n\nb", 3), ("a\r\n\r\n", 2)])
def test_each_line_of_a_text_file_gives_one_output_row(lectern, tmp_path, text, rows):
    (tmp_path / "a.txt").write_bytes(text.encode())
    outputs = predict(lectern, TEXT, tmp_path / "a.txt", tmp_path / "out.csv", "--param", "length=1")
    assert outputs["row"].tolist() == list(range(rows))


def test_bad_rows_are_found_without_a_check_of_the_task():
    def run(rows: list[Row]) -> None:
        if any(row.value in (3, 8) for row in rows):
            raise UserError(f"cannot predict {[row.value for row in rows]}")

    rows = [Row("a", value, value) for value in range(10)]
    assert find_bad_rows(run, rows) == {3: "cannot predict [3]", 8: "cannot predict [8]"}
    assert find_bad_rows(run, rows[:3]) == {}


# File names


def test_a_file_name_that_is_not_utf_8_is_refused_before_the_first_prediction(lectern, tmp_path):
    for name in (b"fine.txt", b"m\xfcller.txt"):
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_text("A man sleeps here.\n")
    before = partial(at_call, PartFolder, "write_part", 1, die)
    output = tmp_path.parent / f"{tmp_path.name}.csv"
    ended = lectern("predict", TRANSLATION, "--input", tmp_path, "--output", output, before=before)
    assert ended.code == 1 and r"the file name m\xfcller.txt is not UTF-8" in ended.said, ended.said
    assert "Traceback" not in ended.said and not output.exists()


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_an_output_name_that_is_not_utf_8_is_written(lectern, tmp_path, suffix):
    (tmp_path / "a.txt").write_text("A man sleeps here.\n")
    output = Path(os.fsdecode(os.fsencode(tmp_path) + b"/m\xfcller." + suffix.encode()))
    ended = lectern("predict", TRANSLATION, "--input", tmp_path / "a.txt", "--output", output)
    assert ended.code == 0, ended.said
    assert output.is_file() and not list(tmp_path.glob("*.parts"))


def test_an_output_in_the_input_folder_is_not_read_as_an_input(lectern, tmp_path):
    (tmp_path / "a.txt").write_text("A man sleeps here.\n")
    command = ("predict", TRANSLATION, "--input", tmp_path, "--output", tmp_path / "out.csv")
    assert lectern(*command).code == 0
    ended = lectern(*command, "--overwrite")
    assert ended.code == 1 and "out.csv is the input of this command" in ended.said
