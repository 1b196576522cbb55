"""Test that `lectern predict` loses no finished part and reuses no wrong part after it was killed or refused."""

import random
import resource
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from filelock import FileLock

from children import KILLED, at_call, die
from lectern.artifacts.paths import PROCESSED
from lectern.serving import batch_predict
from lectern.serving.batch_inputs import Row
from lectern.serving.part_folder import PartFolder, name_part, row_digest
from lectern.serving.row_groups import RowGrouper
from predict_command import lectern, predict
from sample_champions import DIGITS, TRANSLATION

__all__ = ["lectern"]  # `lectern` is imported because it is a fixture
PROBABILITIES = [f"output_{digit}" for digit in range(10)]


@pytest.fixture
def images(serving_project) -> np.ndarray:
    """Return 1,600 different images."""
    images = np.load(serving_project / PROCESSED / DIGITS / "train_images.npy")
    images = np.concatenate([images, images])[:1600].copy()
    images[:, 0, 0], images[:, 0, 1] = np.arange(1600) // 256, np.arange(1600) % 256
    return images


def kill_at_part(number: int):
    return partial(at_call, PartFolder, "write_part", number, die)


def count_written_parts(log: Path) -> None:
    """Write a line to `log` for each part that is written."""
    write_part = PartFolder.write_part

    def write_and_log(*arguments) -> None:
        write_part(*arguments)
        with log.open("a") as file:
            file.write("part\n")

    PartFolder.write_part = write_and_log


# The version and the parameters


@pytest.mark.slow
@pytest.mark.nightly
def test_a_requested_version_is_never_replaced_by_the_version_of_the_unfinished_run(lectern, tmp_path, images):
    np.save(tmp_path / "images.npy", images)
    command = ("--input", tmp_path / "images.npy", "--output", tmp_path / "out.csv")
    assert lectern("predict", f"{DIGITS}@1", *command, before=kill_at_part(2)).code == KILLED
    for name in (f"{DIGITS}@2", f"{DIGITS}@champion"):
        ended = lectern("predict", name, *command)
        assert ended.code == 1 and f"a run with {DIGITS} version 1" in ended.said, ended.said
        assert f"this command uses {DIGITS} version 2" in ended.said and "add --restart" in ended.said
    assert len(list((tmp_path / "out.csv.parts").glob("*.parquet"))) == 1
    assert lectern("predict", DIGITS, *command, before=kill_at_part(3)).code == KILLED
    outputs = predict(lectern, f"{DIGITS}@1", tmp_path / "images.npy", tmp_path / "out.csv")
    assert set(outputs["version"]) == {1} and len(outputs) == 1600


@pytest.mark.slow
def test_restart_deletes_the_finished_parts_of_another_version(lectern, tmp_path, images):
    np.save(tmp_path / "images.npy", images)
    command = ("--input", tmp_path / "images.npy", "--output", tmp_path / "out.csv")
    assert lectern("predict", f"{DIGITS}@1", *command, before=kill_at_part(2)).code == KILLED
    outputs = predict(lectern, f"{DIGITS}@2", tmp_path / "images.npy", tmp_path / "out.csv", "--restart")
    assert set(outputs["version"]) == {2} and len(outputs) == 1600


@pytest.mark.slow
@pytest.mark.nightly
def test_other_parameters_and_another_model_are_refused_and_name_what_was_found(lectern, tmp_path):
    (tmp_path / "a.txt").write_text("A man sleeps here.\n" * 2)
    command = ("--input", tmp_path / "a.txt", "--output", tmp_path / "out.csv")
    before = partial(at_call, batch_predict, "merge_parts", 1, die)
    assert lectern("predict", TRANSLATION, *command, "--param", "beam=2", before=before).code == KILLED
    ended = lectern("predict", TRANSLATION, *command, "--param", "beam=3")
    assert ended.code == 1 and "beam=2, n_best=1, but" in ended.said and "beam=3, n_best=1" in ended.said
    ended = lectern("predict", DIGITS, *command)
    assert ended.code == 1 and f"a run with {TRANSLATION} version 1" in ended.said
    ended = lectern("predict", TRANSLATION, *command, "--param", "beam=2", "--param", "n_best=1")
    assert ended.code == 0, ended.said  # a default value is the same parameter


# The content of the input


@pytest.mark.slow
def test_only_changed_rows_are_predicted_again_after_rows_were_inserted_and_deleted(lectern, tmp_path, images):
    source, output = tmp_path / "images.npy", tmp_path / "out.parquet"
    np.save(source, images)
    command = ("predict", DIGITS, "--input", source, "--output", output)
    assert lectern(*command, before=kill_at_part(4)).code == KILLED
    mended = np.concatenate([images[1:2], np.delete(images, 700, axis=0)])
    np.save(source, mended)
    ended = lectern(*command, before=partial(count_written_parts, tmp_path / "log"))
    assert ended.code == 0, ended.said
    assert (tmp_path / "log").read_text().count("part") == 3  # the first row, the rows around row 700, and the end
    outputs = pd.read_parquet(output)
    undisturbed = predict(lectern, DIGITS, source, tmp_path / "undisturbed.parquet")
    np.testing.assert_allclose(outputs[PROBABILITIES], undisturbed[PROBABILITIES], atol=1e-5)
    assert outputs[["item", "row", "version"]].equals(undisturbed[["item", "row", "version"]])


@pytest.mark.slow
def test_every_row_belongs_to_exactly_one_group_whatever_parts_are_finished():
    generator = random.Random(3)
    for _ in range(300):
        old, new = ([generator.choice("abc") for _ in range(generator.randrange(30))] for _ in range(2))
        cut = generator.randrange(len(new) + 1)
        new = new[:cut] + old[generator.randrange(4) :] + new[cut:]
        finished = {}
        for group in RowGrouper(make_rows(old), {}, "key", 4):
            finished.setdefault(group.part.first, []).append(group.part)
        groups = list(RowGrouper(make_rows(new), finished, "key", 4))
        assert [row.value for group in groups for row in group.rows] == [(text,) for text in new]
        for group in groups:
            assert group.part == name_part("key", [row_digest(row.value) for row in group.rows])
            assert 1 <= len(group.rows) <= 4


def make_rows(texts: list[str]):
    return iter([Row("a.txt", number, (text,)) for number, text in enumerate(texts)])


def test_a_part_is_reused_only_for_the_same_rows_version_and_parameters():
    digests = [row_digest(("a",)), row_digest(("b",))]
    names = {
        name_part("key", digests),
        name_part("other key", digests),
        name_part("key", digests[::-1]),
        name_part("key", [row_digest(("ab",))]),
        name_part("key", [row_digest(("a", "b"))]),
        name_part("key", [row_digest(np.zeros((2, 3), np.uint8))]),
        name_part("key", [row_digest(np.zeros((3, 2), np.uint8))]),
        name_part("key", [row_digest(np.zeros((2, 3), np.int8))]),
    }
    assert len({name.digest for name in names}) == 8


# The end of a run


@pytest.mark.slow
@pytest.mark.parametrize("killed", [(batch_predict, "merge_parts"), (PartFolder, "delete")])
def test_a_run_that_is_killed_at_its_end_is_completed_by_the_same_command(lectern, tmp_path, killed):
    (tmp_path / "a.txt").write_text("A man sleeps here.\n\nA dog sits.\n")
    command = ("predict", TRANSLATION, "--input", tmp_path / "a.txt", "--output", tmp_path / "out.csv")
    command = (*command, "--bad-rows", tmp_path / "bad.csv")
    assert lectern(*command, before=partial(at_call, *killed, 1, die)).code == KILLED
    assert (tmp_path / "bad.csv").is_file()
    ended = lectern(*command)
    assert ended.code == 0, ended.said
    assert pd.read_csv(tmp_path / "out.csv")["row"].tolist() == [0, 2]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "bad.csv", "out.csv"]


@pytest.mark.slow
@pytest.mark.nightly
def test_a_complete_output_that_the_user_changed_is_not_replaced(lectern, tmp_path):
    (tmp_path / "a.txt").write_text("A man sleeps here.\n")
    command = ("predict", TRANSLATION, "--input", tmp_path / "a.txt", "--output", tmp_path / "out.csv")
    assert lectern(*command, before=partial(at_call, PartFolder, "delete", 1, die)).code == KILLED
    (tmp_path / "out.csv").write_text("mine")
    ended = lectern(*command)
    assert ended.code == 1 and "already exists" in ended.said and (tmp_path / "out.csv").read_text() == "mine"


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.nightly
def test_a_full_disk_while_the_parts_are_merged_loses_no_part(lectern, tmp_path, images, suffix):
    source, output = tmp_path / "images.npy", tmp_path / f"out{suffix}"
    np.save(source, images)

    def limit_files() -> None:
        at_call(batch_predict, "merge_parts", 1, partial(resource.setrlimit, resource.RLIMIT_FSIZE, (40_000, 40_000)))

    ended = lectern("predict", DIGITS, "--input", source, "--output", output, before=limit_files)
    assert ended.code == 1 and "could not be written" in ended.said and "Free some space" in ended.said, ended.said
    assert not output.exists() and len(list((tmp_path / f"{output.name}.parts").glob("*.parquet"))) == 4
    before = partial(count_written_parts, tmp_path / "log")
    assert lectern("predict", DIGITS, "--input", source, "--output", output, before=before).code == 0
    assert not (tmp_path / "log").exists()


def test_two_commands_do_not_write_the_same_output(lectern, tmp_path):
    (tmp_path / "a.txt").write_text("A man sleeps here.\n")
    (tmp_path / "out.csv.parts").mkdir()
    with FileLock(tmp_path / "out.csv.parts" / "lock"):
        ended = lectern("predict", TRANSLATION, "--input", tmp_path / "a.txt", "--output", tmp_path / "out.csv")
    assert ended.code == 1 and "Another `lectern predict` is writing" in ended.said, ended.said
