"""Kill `lectern predict` before some of its writes, run it again, and compare with an uninterrupted run."""

import random
from functools import partial
from pathlib import Path

import pytest

from children import KILLED, die
from predict_command import lectern
from sample_champions import TRANSLATION
from writes import before_file_writes, numbered

__all__ = ["lectern"]  # `lectern` is imported because it is a fixture
SEED, KILLS = 2026, 4


@pytest.mark.slow
@pytest.mark.nightly
def test_a_prediction_that_is_killed_before_a_write_is_completed_by_the_same_command(lectern, tmp_path):
    total, expected = predict_until(lectern, tmp_path / "undisturbed", 0)
    for fatal in [*random.Random(SEED).sample(range(1, total), KILLS), total]:
        killed_at, _ = predict_until(lectern, tmp_path / str(fatal), fatal)
        assert killed_at == fatal
        _, repeated = predict_until(lectern, tmp_path / str(fatal), 0)
        assert repeated == expected, fatal


def predict_until(lectern, folder: Path, fatal: int) -> tuple[int, dict[str, bytes]]:
    """Run the command, and kill it before the write with the number `fatal`, if `fatal` is not 0.

    Return the number of writes and the content of the files.
    """
    folder.mkdir(exist_ok=True)
    (folder / "a.txt").write_text("A man sleeps here.\n\nA dog sits.\n")
    log = folder.parent / f"log of {folder.name}"

    log.write_text("0")

    def act(number: int, _: str) -> None:
        log.write_text(str(number))
        if number == fatal:
            die()

    options = ("--output", folder / "out.csv", "--bad-rows", folder / "bad.csv")
    before = partial(before_file_writes, folder, numbered(act))
    ended = lectern("predict", TRANSLATION, "--input", folder / "a.txt", *options, before=before)
    # A process that is killed after it has renamed the folder of the parts has finished its work.
    is_finished = not fatal and "out.csv already exists" in ended.said and not list(folder.glob("*.parts"))
    assert is_finished or ended.code == (KILLED if fatal else 0), ended.said
    return int(log.read_text()), {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
