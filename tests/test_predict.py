"""Files to a table of answers: the same answers as everywhere, however large the input, whatever was killed."""

import os
import resource
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from children import Ended, in_child
from drawn_digits import draw
from lectern.errors import UserError
from lectern.serving import batch_predict as batch
from lectern.serving.file_inputs import HELD, take
from served import DIGITS, POEMS, ROAD, TOY


@pytest.fixture
def lectern(four, monkeypatch):
    """`lectern ...` as it is typed in the house of four champions."""
    monkeypatch.chdir(four)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{four / 'mlflow.db'}")

    def type_in(*words: object, before=lambda: None, after=lambda: None) -> Ended:
        def typed() -> None:
            from lectern.cli import main

            before()
            sys.argv = ["lectern", *map(str, words)]
            try:
                main()
            finally:
                after()

        return in_child(typed)

    return type_in


def predict(lectern, name: str, source, output, *more, **options) -> pd.DataFrame:
    ended = lectern("predict", name, "--input", source, "--output", output, *more, **options)
    assert ended.code == 0, ended.said
    return pd.read_csv(output) if output.suffix == ".csv" else pd.read_parquet(output)


def test_an_array_a_picture_the_api_and_mlflow_give_one_answer(lectern, server, four, tmp_path, monkeypatch):
    import mlflow

    images = np.load(four / "data" / "processed" / DIGITS / "test_images.npy")[:30]
    np.save(tmp_path / "images.npy", images)
    (tmp_path / "pictures").mkdir()
    for number, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / "pictures" / f"{number:03d}.png")
    columns = [f"output_{digit}" for digit in range(10)]
    by_array = predict(lectern, DIGITS, tmp_path / "images.npy", tmp_path / "array.parquet")
    by_picture = predict(lectern, DIGITS, tmp_path / "pictures", tmp_path / "pictures.csv")
    by_api = server.predict(DIGITS, inputs=images.tolist()).json()["outputs"]
    mlflow.set_tracking_uri(f"sqlite:///{four / 'mlflow.db'}")
    by_mlflow = mlflow.pyfunc.load_model(f"models:/{DIGITS}@champion").predict(images)
    for table in (by_array, by_picture):
        np.testing.assert_allclose(table[columns], by_mlflow, atol=1e-5)
    np.testing.assert_allclose(by_api, by_mlflow, atol=1e-5)
    assert by_picture["item"].tolist() == [f"{number:03d}.png" for number in range(30)]
    assert by_array["row"].tolist() == list(range(30)) and set(by_array["version"]) == {2}


def test_a_drawing_is_prepared_as_on_the_page(lectern, tmp_path):
    draw(7, 3).save(tmp_path / "seven.png")
    answered = predict(lectern, DIGITS, tmp_path / "seven.png", tmp_path / "seven.csv")
    assert answered[[f"output_{digit}" for digit in range(10)]].to_numpy().argmax() == 7


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".txt"])
def test_sentences_of_a_table_are_translated_in_their_order(lectern, server, tmp_path, suffix):
    sources = [f"A {who} sleeps here." for who in ("man", "dog", "child")] * 30
    path = tmp_path / f"sentences{suffix}"
    table = pd.DataFrame({"number": range(90), "source": sources})
    if suffix == ".csv":
        table.to_csv(path, index=False)
    elif suffix == ".parquet":
        table.to_parquet(path)
    else:
        path.write_text("".join(f"{source}\n" for source in sources))
    answered = predict(lectern, TOY, path, tmp_path / "out.csv", "--param", "n_best=2", "--param", "beam=3")
    assert answered["row"].tolist() == [row for row in range(90) for _ in range(2)]
    asked = server.predict(TOY, input={"source": sources[1]}, params={"n_best": 2, "beam": 3}).json()["outputs"]
    assert answered["target"][2:4].tolist() == [row["target"] for row in asked]


def test_a_drive_is_answered_frame_by_frame(lectern, four, tmp_path):
    from lectern.tasks.steering.serving.video_writer import write_video

    frames = np.load(four / "data" / "processed" / ROAD / "test_frames.npy")[:40]
    write_video(frames, tmp_path / "drive.mp4", 10.0)
    answered = predict(lectern, ROAD, tmp_path / "drive.mp4", tmp_path / "drive.parquet")
    assert answered["row"].tolist() == list(range(40)) and answered["angle"].notna().all()


def test_a_killed_run_goes_on_and_ends_as_an_undisturbed_one(lectern, four, tmp_path, moved):
    images = np.load(four / "data" / "processed" / DIGITS / "train_images.npy")[:1300]
    np.save(tmp_path / "images.npy", images)
    whole = predict(lectern, DIGITS, tmp_path / "images.npy", tmp_path / "whole.csv")

    def die_in_the_second_part() -> None:
        write = batch.write_part

        def write_or_die(path, table) -> None:
            if path.stem.endswith("1"):
                os._exit(9)
            write(path, table)

        batch.write_part = write_or_die

    words = ("predict", DIGITS, "--input", tmp_path / "images.npy", "--output", tmp_path / "killed.csv")
    assert lectern(*words, before=die_in_the_second_part).code == 9
    assert not (tmp_path / "killed.csv").exists()
    first = next((tmp_path / "killed.csv.parts").glob("*.parquet"))
    made = first.stat().st_mtime_ns
    moved("1")  # another champion in between: the version that began also ends it

    def keep_the_first_part() -> None:
        assert first.stat().st_mtime_ns == made

    assert lectern(*words, before=keep_the_first_part).code == 0
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "killed.csv"), whole)
    assert not (tmp_path / "killed.csv.parts").exists()


def test_memory_does_not_grow_with_the_input(lectern, tmp_path):
    """Peaks of 4,000 and of 40,000 images, in processes of their own."""
    peaks = []

    def tell_peak() -> None:
        (tmp_path / "peak").write_text(str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss))

    for count in (4_000, 40_000):
        np.lib.format.open_memmap(tmp_path / f"{count}.npy", "w+", np.uint8, (count, 28, 28))[:] = 7
        source, output = tmp_path / f"{count}.npy", tmp_path / f"{count}.parquet"
        ended = lectern("predict", DIGITS, "--input", source, "--output", output, after=tell_peak)
        assert ended.code == 0, ended.said
        peaks.append(int((tmp_path / "peak").read_text()) / 1024)
    assert peaks[1] - peaks[0] < 60, peaks  # megabytes; the images alone are 31


def test_large_items_are_put_together_a_few_at_a_time_and_none_is_lost():
    large, small = np.zeros(HELD // 3, np.uint8), np.zeros(10, np.uint8)
    items = iter([large] * 7 + [small] * 20)
    assert [len(some) for some in iter(lambda: take(items, 16), [])] == [4, 4, 16, 3]


def test_frames_that_are_looked_at_together_are_not_unpacked_beyond_the_limit(four, tmp_path):
    from lectern.tasks.steering.serving.request import read_checked
    from lectern.tasks.steering.serving.video_writer import write_video

    frames = np.load(four / "data" / "processed" / ROAD / "test_frames.npy")[:12]
    write_video(frames, tmp_path / "drive.mp4", 10.0)
    megapixels = 5 * frames.shape[1] * frames.shape[2] / 1e6
    assert len(list(read_checked(tmp_path / "drive.mp4", megapixels, 5))) == 12
    with pytest.raises(UserError, match="6 frames of .* are looked at together; at most .* Make the video smaller"):
        list(read_checked(tmp_path / "drive.mp4", megapixels, 6))


@pytest.mark.parametrize(
    ("name", "file", "content", "more", "told"),
    [
        (DIGITS, "none.png", None, [], "where nothing lies"),
        (DIGITS, "a.csv", b"x\n1\n", [], "sample_digits reads .bmp"),
        (DIGITS, "a.npy", b"nothing", [], "is no array of images"),
        (TOY, "a.csv", b"sentence\nA man.\n", [], "has no column 'source'; there is: sentence"),
        (TOY, "a.csv", b"source\n\xff\xfe\n", [], "cannot be read as csv"),
        (TOY, "a.parquet", b"no parquet", [], "cannot be read as parquet"),
        (TOY, "a.txt", b"A man sleeps.\n\n", [], "Sentence 2 is empty"),
        (TOY, "a.txt", b"A man sleeps.\n", ["--param", "bean=5"], "no param 'bean'; did you mean 'beam'?"),
        (TOY, "a.txt", b"A man sleeps.\n", ["--param", "beam"], "name=number"),
        (POEMS, "a.txt", b"", [], "holds nothing"),
        ("sample_digit", "a.npy", b"", [], "did you mean 'sample_digits'?"),
    ],
    ids=["missing", "kind", "array", "column", "utf8", "parquet", "empty", "param", "value", "nothing", "model"],
)
def test_what_cannot_be_answered_is_a_message_and_leaves_no_output(lectern, tmp_path, name, file, content, more, told):
    if content is not None:
        (tmp_path / file).write_bytes(content)
    ended = lectern("predict", name, "--input", tmp_path / file, "--output", tmp_path / "out.csv", *more)
    assert ended.code == 1 and told in ended.said and "Traceback" not in ended.said, ended.said
    assert not (tmp_path / "out.csv").exists()


def test_an_output_that_is_there_is_not_written_over(lectern, tmp_path):
    (tmp_path / "a.txt").write_text("A man sleeps here.\n")
    (tmp_path / "out.csv").write_text("mine")
    ended = lectern("predict", TOY, "--input", tmp_path / "a.txt", "--output", tmp_path / "out.csv")
    assert ended.code == 1 and "is there already" in ended.said and (tmp_path / "out.csv").read_text() == "mine"
