"""Test `lectern predict`: equal results for all kinds of input, resuming after a kill, memory and error messages."""

import resource
from functools import partial

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from children import KILLED, at_call, die
from drawn_digits import draw_digit
from lectern.artifacts.paths import PROCESSED
from lectern.errors import UserError
from lectern.serving import batch_predict
from lectern.serving.file_inputs import MAX_CHUNK_BYTES, accepted_media_types, find_suffix, take_chunk
from lectern.serving.part_folder import PartFolder
from lectern.task_modules import task_module
from predict_command import lectern, predict
from sample_champions import DIGITS, STEERING, TEXT, TRANSLATION

__all__ = ["lectern"]  # `lectern` is imported because it is a fixture
PROBABILITIES = [f"output_{digit}" for digit in range(10)]


# Results


@pytest.mark.slow
def test_array_images_api_and_mlflow_give_the_same_predictions(lectern, server, serving_project, tmp_path):
    import mlflow

    images = np.load(PROCESSED / DIGITS / "test_images.npy")[:30]
    np.save(tmp_path / "images.npy", images)
    (tmp_path / "images").mkdir()
    for number, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / "images" / f"{number:03d}.png")
    from_array = predict(lectern, DIGITS, tmp_path / "images.npy", tmp_path / "array.parquet")
    from_images = predict(lectern, DIGITS, tmp_path / "images", tmp_path / "images.csv")
    from_api = server.predict(DIGITS, inputs=images.tolist()).json()["outputs"]
    mlflow.set_tracking_uri(f"sqlite:///{serving_project / 'mlflow.db'}")
    from_mlflow = mlflow.pyfunc.load_model(f"models:/{DIGITS}@champion").predict(images)
    for outputs in (from_array[PROBABILITIES], from_images[PROBABILITIES], from_api):
        np.testing.assert_allclose(outputs, from_mlflow, atol=1e-5)
    assert from_images["item"].tolist() == [f"{number:03d}.png" for number in range(30)]
    assert from_array["row"].tolist() == list(range(30)) and set(from_array["version"]) == {2}


def test_a_drawing_is_centered_as_on_the_page(lectern, tmp_path):
    draw_digit(7, 3).save(tmp_path / "seven.png")
    outputs = predict(lectern, DIGITS, tmp_path / "seven.png", tmp_path / "seven.csv")
    assert outputs[PROBABILITIES].to_numpy().argmax() == 7


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".txt"])
def test_sentences_of_a_table_are_translated_in_their_order(lectern, server, tmp_path, suffix):
    sources = [f"A {animal} sleeps here." for animal in ("man", "dog", "child")] * 30
    path = tmp_path / f"sentences{suffix}"
    table = pd.DataFrame({"number": range(90), "source": sources})
    if suffix == ".csv":
        table.to_csv(path, index=False)
    elif suffix == ".parquet":
        table.to_parquet(path)
    else:
        path.write_text("".join(f"{source}\n" for source in sources))
    outputs = predict(lectern, TRANSLATION, path, tmp_path / "out.csv", "--param", "n_best=2", "--param", "beam=3")
    assert outputs["row"].tolist() == [row for row in range(90) for _ in range(2)]
    response = server.predict(TRANSLATION, input={"source": sources[1]}, params={"n_best": 2, "beam": 3}).json()
    assert outputs["target"][2:4].tolist() == [output["target"] for output in response["outputs"]]


def test_a_video_gives_one_output_row_per_frame(lectern, tmp_path):
    from lectern.tasks.steering.serving.video_writer import write_video

    frames = np.load(PROCESSED / STEERING / "test_frames.npy")[:40]
    write_video(frames, tmp_path / "drive.mp4", 10.0)
    outputs = predict(lectern, STEERING, tmp_path / "drive.mp4", tmp_path / "drive.parquet")
    assert outputs["row"].tolist() == list(range(40)) and outputs["angle"].notna().all()


# Resuming and memory


@pytest.mark.slow
def test_a_killed_prediction_continues_with_its_version_and_gives_the_same_table(lectern, tmp_path, move_champion):
    images = np.load(PROCESSED / DIGITS / "train_images.npy")[:1300]
    np.save(tmp_path / "images.npy", images)
    expected = predict(lectern, DIGITS, tmp_path / "images.npy", tmp_path / "undisturbed.csv")

    command = ("predict", DIGITS, "--input", tmp_path / "images.npy", "--output", tmp_path / "killed.csv")
    assert lectern(*command, before=partial(at_call, PartFolder, "write_part", 2, die)).code == KILLED
    assert not (tmp_path / "killed.csv").exists()
    (first_part,) = (tmp_path / "killed.csv.parts").glob("*.parquet")
    modified = first_part.stat().st_mtime_ns
    move_champion("1")  # The resumed prediction must still use version 2.

    def check_first_part() -> None:
        assert first_part.stat().st_mtime_ns == modified

    ended = lectern(*command, before=partial(at_call, batch_predict, "merge_parts", 1, check_first_part))
    assert ended.code == 0 and "with version 2, although the champion is version 1" in ended.said, ended.said
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "killed.csv"), expected)
    assert not (tmp_path / "killed.csv.parts").exists()


@pytest.mark.slow
@pytest.mark.nightly
def test_peak_memory_does_not_grow_with_the_number_of_inputs(lectern, tmp_path):
    peaks = []

    def write_peak() -> None:
        (tmp_path / "peak").write_text(str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss))

    for count in (4_000, 40_000):
        source = tmp_path / f"{count}.npy"
        np.lib.format.open_memmap(source, "w+", np.uint8, (count, 28, 28))[:] = 7
        output = tmp_path / f"{count}.parquet"
        ended = lectern("predict", DIGITS, "--input", source, "--output", output, after=write_peak)
        assert ended.code == 0, ended.said
        peaks.append(int((tmp_path / "peak").read_text()) / 1024)
    assert peaks[1] - peaks[0] < 60, peaks  # in megabytes; the larger array has 31 megabytes


def test_a_chunk_of_large_items_is_smaller_and_no_item_is_lost():
    large, small = np.zeros(MAX_CHUNK_BYTES // 3, np.uint8), np.zeros(10, np.uint8)
    items = iter([large] * 7 + [small] * 20)
    chunks = iter(lambda: take_chunk(items, 16, lambda item: item.nbytes), [])
    assert [len(chunk) for chunk in chunks] == [4, 4, 16, 3]


def test_the_frames_of_a_window_must_fit_into_the_megapixel_limit(serving_project, tmp_path):
    from lectern.tasks.steering.serving.request import read_limited_video
    from lectern.tasks.steering.serving.video_writer import write_video

    frames = np.load(serving_project / PROCESSED / STEERING / "test_frames.npy")[:12]
    write_video(frames, tmp_path / "drive.mp4", 10.0)
    megapixels = 5 * frames.shape[1] * frames.shape[2] / 1e6
    assert len(list(read_limited_video(tmp_path / "drive.mp4", megapixels, 5))) == 12
    with pytest.raises(UserError, match="windows of 6 frames.*million pixels per window are allowed"):
        list(read_limited_video(tmp_path / "drive.mp4", megapixels, 6))


@pytest.mark.parametrize("name", ["drive.mp4", "drive.mkv"])  # the header of an .mkv file has no number of frames
def test_all_frames_of_a_video_must_fit_into_100_times_the_megapixel_limit(tmp_path, name):
    from lectern.tasks.steering.serving.request import read_limited_video
    from lectern.tasks.steering.serving.video_writer import write_video

    write_video(np.zeros((101, 32, 32, 3), np.uint8), tmp_path / name, 10.0)
    assert len(list(read_limited_video(tmp_path / name, 1.02 * 32 * 32 / 1e6))) == 101
    with pytest.raises(UserError, match="at least 101 frames of 32 x 32 pixels; at most .* million pixels in all"):
        list(read_limited_video(tmp_path / name, 1.002 * 32 * 32 / 1e6))


# Errors


@pytest.mark.parametrize(
    ("name", "file", "content", "options", "message"),
    [
        (DIGITS, "missing.png", None, [], "does not exist or is empty"),
        (DIGITS, "a.csv", b"x\n1\n", [], "sample_digits reads .bmp"),
        (DIGITS, "a.npy", b"text", [], "does not contain an array of images"),
        (TRANSLATION, "a.csv", b"sentence\nA man.\n", [], "has no column 'source'. Its columns are: sentence"),
        (
            TRANSLATION,
            "a.csv",
            b"source\n\xff\xfe\n",
            [],
            "row 0 (line 2): source contains a byte that is not UTF-8",
        ),
        (TRANSLATION, "a.parquet", b"text", [], "cannot be read as parquet"),
        (TRANSLATION, "a.txt", b"A man sleeps.\n\n", [], "a.txt, row 1 (line 2): The sentence is empty"),
        (TRANSLATION, "a.txt", b"A man sleeps.\n", ["--param", "bean=5"], "no parameter 'bean'; did you mean 'beam'?"),
        (TRANSLATION, "a.txt", b"A man sleeps.\n", ["--param", "beam"], "name=value"),
        (TEXT, "a.txt", b"", [], "contains no rows"),
        ("sample_digit", "a.npy", b"", [], "did you mean 'sample_digits'?"),
    ],
    ids=["missing", "type", "array", "column", "utf8", "parquet", "blank", "param", "value", "no-rows", "model"],
)
def test_an_invalid_input_is_reported_and_leaves_no_output(lectern, tmp_path, name, file, content, options, message):
    if content is not None:
        (tmp_path / file).write_bytes(content)
    ended = lectern("predict", name, "--input", tmp_path / file, "--output", tmp_path / "out.csv", *options)
    assert ended.code == 1 and message in ended.said and "Traceback" not in ended.said, ended.said
    assert not list(tmp_path.glob("out.csv*"))


def test_a_task_without_file_readers_reads_no_files(lectern, tmp_path, monkeypatch):
    requests = task_module("digits", "serving.request")
    monkeypatch.delattr(requests, "FILE_READERS")
    assert find_suffix("image/png", requests) is None and accepted_media_types(requests) == []
    draw_digit(7, 3).save(tmp_path / "seven.png")
    ended = lectern("predict", DIGITS, "--input", tmp_path / "seven.png", "--output", tmp_path / "answers.csv")
    assert ended.code == 1 and "defines no FILE_READERS" in ended.said


def test_an_existing_output_is_not_overwritten(lectern, tmp_path):
    (tmp_path / "a.txt").write_text("A man sleeps here.\n")
    (tmp_path / "out.csv").write_text("mine")
    ended = lectern("predict", TRANSLATION, "--input", tmp_path / "a.txt", "--output", tmp_path / "out.csv")
    assert ended.code == 1 and "already exists" in ended.said and (tmp_path / "out.csv").read_text() == "mine"
