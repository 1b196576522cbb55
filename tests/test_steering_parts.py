"""Drives that are packed apart: the bytes of one process's work, whoever does it, and whatever happens on the way."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml

import steering_recordings as recordings
from lectern.tasks.steering.data.preprocess import preprocess

ROOT = Path(__file__).parents[1]
HELD_OUT = {"test": ["HMB_2"], "validation": ["HMB_4"]}
TOLD = "packing frames"  # by each process that packs


@pytest.fixture
def checkout(tmp_path, monkeypatch) -> Path:
    """A data set of four drives in a checkout that the test stands in: one has three bad frames."""
    for name in ("conf", "pipelines"):
        shutil.copytree(ROOT / name, tmp_path / name)
    raw = tmp_path / "data" / "raw" / "drives"
    recordings.udacity_challenge(raw, frames=30, drives=4)
    pictures = sorted((raw / "HMB_3" / "center").iterdir())
    pictures[0].write_bytes(recordings.jpeg(np.zeros((10, 20, 3), np.uint8)))  # not the size of the first drive's
    pictures[7].write_bytes(pictures[7].read_bytes()[:200])
    pictures[8].write_bytes(pictures[8].read_bytes()[:200])
    dataset = yaml.safe_load((ROOT / "conf/dataset/udacity_challenge.yaml").read_text())
    dataset |= {"name": "drives", "origin": "drives"}
    dataset["preprocess"] |= {**recordings.ARGUMENTS, **HELD_OUT}
    (tmp_path / "conf/dataset/drives.yaml").write_text(yaml.safe_dump(dataset))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def begin(*overrides: str, launch: str = "") -> subprocess.Popen:
    environment = {**os.environ, "LAUNCH": launch, "PYTHONPATH": str(ROOT / "src")}
    return subprocess.Popen(
        [sys.executable, "pipelines/preprocess.py", "dataset=drives", *overrides], env=environment,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip


def run(*overrides: str, launch: str = "") -> tuple[int, str]:
    process = begin(*overrides, launch=launch)
    said, _ = process.communicate(timeout=300)
    return process.returncode, said


def made() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(Path("data/processed/drives").iterdir())}


@pytest.mark.parametrize("more", [(), ("+dataset.preprocess.shard_megabytes=0.2",)], ids=["one file", "shards"])
def test_drives_packed_apart_are_joined_to_the_same_bytes(checkout, more):
    code, said = run(*more)
    assert code == 0 and said.count(TOLD) >= 1, said
    together = made()
    assert b'"the frame has another size": 1' in together["facts.json"] and len(together) >= 8
    code, said = run(*more, launch="nice -n 0")
    assert code == 0 and "HMB_3" in said, said
    assert made() == together
    assert not list(Path("runs/drives").iterdir())


def test_a_drive_that_is_packed_is_not_packed_again_unless_its_files_have_changed(checkout):
    """The third drive has a bad frame, which stops: the first two are there already when it is tried again."""

    def fails() -> list[Path]:
        code, said = run("dataset.preprocess.faults=stop", launch="env")
        assert code == 1 and "row 0: the frame has another size" in said and "Traceback" not in said, said
        assert not Path("data/processed/drives").exists()
        folders = sorted(Path("runs/drives").iterdir())
        assert all({path.name for path in folder.iterdir() if path.is_dir()} == {"0", "1"} for folder in folders)
        return folders

    (folder,) = fails()
    packed = (folder / "0" / "kept.json").stat().st_mtime_ns
    assert fails() == [folder] and (folder / "0" / "kept.json").stat().st_mtime_ns == packed
    next(Path("data/raw/drives/HMB_1/center").iterdir()).write_bytes(recordings.jpeg(np.full((32, 64, 3), 9, np.uint8)))
    assert len(fails()) == 2


def test_one_drive_is_not_sent_anywhere(tmp_path, monkeypatch):
    recordings.udacity_sim(tmp_path / "sim")
    monkeypatch.setenv("LAUNCH", "false")  # would fail
    preprocess(tmp_path / "sim", tmp_path / "out", "udacity_sim", **recordings.BLOCKS, **recordings.ARGUMENTS)
    assert (tmp_path / "out" / "facts.json").exists()


def test_who_ends_the_stage_ends_what_it_has_started(checkout):
    process = begin(launch="sh -c 'echo $$ > began; exec sleep 300' sh")
    while not (Path("began").exists() and Path("began").read_text()):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode != 0 and not Path("data/processed/drives").exists()
    with pytest.raises(ProcessLookupError):
        os.kill(int(Path("began").read_text()), 0)
