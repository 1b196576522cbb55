"""Test a stage that cannot write: it prints a message, leaves no half-written file, and succeeds if it is run again."""

import errno
import itertools
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from children import Ended, in_child, run_stage, warm
from short_training import SHORT_TRAINING, project
from writes import before_file_writes, numbered

__all__ = ["project"]  # `project` is imported because it is a fixture
pytestmark = pytest.mark.faults

EXPERIMENT = ("experiment=brief", "dataset=sample_digits")
STAGES = {  # the config overrides and the outputs of each stage
    "download": (("origin=sample_digits",), ["data/raw/sample_digits"]),
    "preprocess": (("dataset=sample_digits",), ["data/processed/sample_digits"]),
    "train": (SHORT_TRAINING, ["models/brief"]),
    "evaluate": (EXPERIMENT, ["reports/brief", "metrics/brief.json"]),
}
BEFORE = list(STAGES)
REMOVALS = ("os.remove", "os.rmdir")  # file operations that succeed on a full disk


def run(stage: str) -> Ended:
    warm()
    return in_child(run_stage, stage, *STAGES[stage][0])


def read_outputs(stage: str) -> dict[str, bytes]:
    """Return the content of all files that a stage has written under their final names."""
    roots = [Path(output) for output in STAGES[stage][1]]
    files = [path for root in roots for path in ([root] if root.is_file() else root.rglob("*")) if path.is_file()]
    return {str(path): path.read_bytes() for path in files}


def delete_outputs(stage: str) -> None:
    """Delete the outputs of a stage, as DVC does before it runs the stage. Also delete the checkpoints."""
    for output in (*STAGES[stage][1], "runs"):
        path = Path(output)
        if path.is_dir():
            shutil.rmtree(path)
        path.unlink(missing_ok=True) if not path.is_dir() else None


def leftovers() -> list[Path]:
    return [path for path in Path().rglob("*") if path.name.endswith(".part") or ".part." in path.name]


def fail_at(number: int) -> None:
    """Let the write with the given number fail. A write is a file operation in the project, or fsync."""

    def fail(count: int, write: str) -> None:
        if count == number:
            print(f"injected a failure into {write}", flush=True)
            raise OSError(errno.EIO if write == "fsync" else errno.ENOSPC, os.strerror(errno.ENOSPC), write)

    count = numbered(fail)
    before_file_writes(Path.cwd(), lambda write: None if write.startswith(REMOVALS) else count(write))


def run_with_failure(stage: str, number: int) -> Ended:
    def run_until() -> None:
        fail_at(number)
        run_stage(stage, *STAGES[stage][0])

    return in_child(run_until)


@pytest.fixture
def prepared(project) -> Callable[[str], dict[str, bytes]]:
    """Return a function that runs the stages before a given stage, and returns the outputs of the given stage."""

    def prepare(stage: str) -> dict[str, bytes]:
        for earlier in BEFORE[: BEFORE.index(stage) + 1]:
            if not (earlier in ("download", "preprocess") and stage in ("train", "evaluate")):
                ended = run(earlier)
                assert ended.code == 0, ended.said
        return read_outputs(stage)

    return prepare


def assert_message(ended: Ended) -> None:
    assert ended.code == 1 and "Traceback" not in ended.said, ended.said
    assert "lectern: " in ended.said and ("again" in ended.said or "retry" in ended.said), ended.said


@pytest.mark.parametrize("stage", STAGES)
def test_a_failure_at_any_write_is_a_message_and_the_stage_can_be_run_again(prepared, stage):
    expected = prepared(stage)
    assert expected
    for number in itertools.count(1):
        delete_outputs(stage)
        ended = run_with_failure(stage, number)
        if "injected" not in ended.said:
            break
        if ended.code:
            assert_message(ended)
        written = read_outputs(stage)
        assert written.items() <= expected.items(), ended.said
        assert leftovers() == [], ended.said
        again = run(stage)
        assert again.code == 0 and read_outputs(stage) == expected, (ended.said, again.said)
    assert number > 5


# A real full disk


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """Mount a file system of 96 MB, and change to a folder on this file system."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("this user must not mount a file system")
    try:
        yield folder
    finally:
        os.chdir(tmp_path)
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill_disk(leave: int) -> Path:
    """Write a file that leaves only about the given number of bytes of the disk free."""
    filler = Path("filler")
    free = shutil.disk_usage(".").free
    with open(filler, "wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(free - leave, 1))
    return filler


@pytest.mark.parametrize("share", [0.0, 0.15, 0.3, 0.5, 0.7, 0.9])
@pytest.mark.parametrize("stage", STAGES)
def test_a_full_disk_is_a_message_and_the_stage_ends_with_the_same_bytes_after_space_was_freed(
    prepared, small_disk, monkeypatch, stage, share
):
    expected = prepared(stage)
    delete_outputs(stage)
    shutil.copytree(Path.cwd(), small_disk / "project")
    shutil.copyfile(Path.cwd().parent / "mlflow.db", small_disk / "mlflow.db")
    monkeypatch.chdir(small_disk / "project")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{small_disk / 'mlflow.db'}")
    filler = fill_disk(int(share * sum(map(len, expected.values()))))
    ended = run(stage)
    if ended.code:
        assert_message(ended)
    written = read_outputs(stage)
    assert written.items() <= expected.items()
    assert leftovers() == []
    filler.unlink()
    again = run(stage)
    assert again.code == 0 and read_outputs(stage) == expected, (ended.said, again.said)
