"""Test that drives packed in parallel give the bytes of one process, and that an interrupted packing resumes."""

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


@pytest.fixture
def checkout(tmp_path, monkeypatch) -> Path:
    """Create a checkout with a dataset of four drives, and change to this checkout.

    One of the drives has three bad frames.
    """
    for name in ("conf", "pipelines"):
        shutil.copytree(ROOT / name, tmp_path / name)
    raw = tmp_path / "data" / "raw" / "drives"
    recordings.write_udacity_challenge(raw, frames=30, drives=4)
    images = sorted((raw / "HMB_3" / "center").iterdir())
    # The frame does not have the size of the frames in the first drive.
    images[0].write_bytes(recordings.encode_jpeg(np.zeros((10, 20, 3), np.uint8)))
    images[7].write_bytes(images[7].read_bytes()[:200])
    images[8].write_bytes(images[8].read_bytes()[:200])
    dataset = yaml.safe_load((ROOT / "conf/dataset/udacity_challenge.yaml").read_text())
    dataset |= {"name": "drives", "origin": "drives"}
    dataset["preprocess"] |= {**recordings.ARGUMENTS, **HELD_OUT}
    (tmp_path / "conf/dataset/drives.yaml").write_text(yaml.safe_dump(dataset))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def start_preprocess(*overrides: str, launch: str = "") -> subprocess.Popen:
    environment = {**os.environ, "LAUNCH": launch, "PYTHONPATH": str(ROOT / "src")}
    return subprocess.Popen(
        [sys.executable, "pipelines/preprocess.py", "dataset=drives", *overrides], env=environment,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip


def run_preprocess(*overrides: str, launch: str = "") -> tuple[int, str]:
    process = start_preprocess(*overrides, launch=launch)
    output, _ = process.communicate(timeout=300)
    return process.returncode, output


def read_processed() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(Path("data/processed/drives").iterdir())}


@pytest.mark.slow
@pytest.mark.parametrize("more", [(), ("+dataset.preprocess.shard_megabytes=0.2",)], ids=["one file", "shards"])
def test_parallel_packing_gives_the_same_bytes_as_one_process(checkout, more):
    code, output = run_preprocess(*more)
    assert code == 0 and "packing frames" in output, output
    expected = read_processed()
    assert b'"the frame has a different size": 1' in expected["facts.json"] and len(expected) >= 8
    code, output = run_preprocess(*more, launch="nice -n 0")
    assert code == 0 and "HMB_3" in output, output
    assert read_processed() == expected
    assert not list(Path("runs/drives").iterdir())


@pytest.mark.slow
def test_packed_drives_are_reused_until_the_raw_files_change(checkout):
    """The third drive has a bad frame and stops the stage. At this time, the first two drives are already packed."""

    def fail_at_third_drive() -> list[Path]:
        code, output = run_preprocess("dataset.preprocess.bad_rows=stop", launch="env")
        assert code == 1 and "row 0: the frame has a different size" in output and "Traceback" not in output, output
        assert not Path("data/processed/drives").exists()
        plans = sorted(Path("runs/drives").iterdir())
        assert all({path.name for path in plan.iterdir() if path.is_dir()} == {"0", "1"} for plan in plans)
        return plans

    (plan,) = fail_at_third_drive()
    packed_at = (plan / "0" / "kept.json").stat().st_mtime_ns
    assert fail_at_third_drive() == [plan] and (plan / "0" / "kept.json").stat().st_mtime_ns == packed_at
    image = recordings.encode_jpeg(np.full((32, 64, 3), 9, np.uint8))
    next(Path("data/raw/drives/HMB_1/center").iterdir()).write_bytes(image)
    assert len(fail_at_third_drive()) == 2


def test_single_drive_is_packed_in_the_same_process(tmp_path, monkeypatch):
    recordings.write_udacity_sim(tmp_path / "sim")
    monkeypatch.setenv("LAUNCH", "false")  # `false` is a command that fails if the stage runs it.
    preprocess(tmp_path / "sim", tmp_path / "out", "udacity_sim", **recordings.BLOCKS, **recordings.ARGUMENTS)
    assert (tmp_path / "out" / "facts.json").exists()


@pytest.mark.slow
def test_sigterm_ends_the_stage_and_its_child_process(checkout):
    process = start_preprocess(launch="sh -c 'echo $$ > child_pid; exec sleep 300' sh")
    while not (Path("child_pid").exists() and Path("child_pid").read_text()):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode != 0 and not Path("data/processed/drives").exists()
    with pytest.raises(ProcessLookupError):
        os.kill(int(Path("child_pid").read_text()), 0)
