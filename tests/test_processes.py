"""Test that a training on several processes gives the results of one process, and that such a training can resume."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

import steering_recordings as recordings
from children import in_child, run_stage, warm
from language_model_texts import BY_NAME, write_works
from lectern.artifacts.dataset import read_facts
from lectern.errors import UserError
from lectern.tasks.language_model.data.preprocess import preprocess
from lectern.tasks.steering.data.preprocess import preprocess as preprocess_road
from lectern.training.world_size import check_batch_divides

ROOT = Path(__file__).parents[1]
DIGITS = (
    "dataset=sample_digits",
    "model=digits_cnn",
    "model.module.network.dropout=0.0",
)  # Dropout is off, because each rank draws different dropout masks.
CHARACTERS = (
    "dataset=sample_code", "model=char_gru_demo", "model.module.network.hidden=16",
    "model.batches.batch_size=8", "model.batches.unroll=20",
)  # fmt: skip


def start(*overrides: str, launcher: tuple[str, ...] = ()) -> subprocess.Popen:
    """Start `python pipelines/train.py ...` in the current directory."""
    return subprocess.Popen(
        [sys.executable, *launcher, "pipelines/train.py", *overrides, "trainer.threads=1"],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")}, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def train(*overrides: str) -> None:
    process = start(*overrides)
    output, _ = process.communicate(timeout=1500)
    assert process.returncode == 0, output


def assert_same_training(one: Path, other: Path) -> None:
    """Check that the histories have the same rows, and that values and weights differ by rounding only."""
    histories = [pd.read_csv(folder / "history.csv") for folder in (one, other)]
    assert histories[0][["step", "epoch", "name"]].equals(histories[1][["step", "epoch", "name"]])
    np.testing.assert_allclose(histories[0]["value"], histories[1]["value"], rtol=1e-3, atol=1e-4)
    weights = [load_file(folder / "weights.safetensors") for folder in (one, other)]
    for name, value in weights[0].items():
        np.testing.assert_allclose(value, weights[1][name], atol=1e-4, err_msg=name)


@pytest.fixture
def poems(project) -> Path:
    """Return a project with a language-model sample. Each stream reads a different part of its text."""
    preprocess(write_works(project / "poems"), project / "data" / "processed" / "sample_code", **BY_NAME)
    return project


@pytest.mark.parametrize(
    ("batch_size", "trainer", "message"),
    [
        (
            128,
            {"devices": 3, "num_nodes": 1},
            r"batch_size 128 is not divisible by 3 processes \(1 nodes x 3\); use 126 or 129",
        ),
        (
            3,
            {"devices": 4, "num_nodes": 2},
            r"batch_size 3 is not divisible by 8 processes \(2 nodes x 4\); use 8, or a different",
        ),
        (12, {"devices": 4, "num_nodes": 2}, r"use 8 or 16, or a different number of processes"),
    ],
)
def test_a_batch_size_that_is_not_divisible_by_the_processes_is_rejected(batch_size, trainer, message):
    with pytest.raises(UserError, match=message):
        check_batch_divides({"batch_size": batch_size}, trainer, "conf/model/a.yaml, batches")


def train_in_child(*overrides: str) -> None:
    """Train with one child process, which inherits the imports of the tests' process."""
    warm()
    ended = in_child(run_stage, "train", *overrides, "trainer.threads=1")
    assert ended.code == 0, ended.said


@pytest.mark.nightly
def test_four_processes_train_the_digits_as_one_does(project):
    """The last batch of an epoch (33 of 1,257 images) is not divisible by four."""
    overrides = (*DIGITS, "model.batches.batch_size=72", "model.fit.laptop.epochs=2")
    train_in_child(*overrides, "out=runs/one")
    train(*overrides, "out=runs/four", "trainer=two_processes", "trainer.devices=4")
    assert_same_training(Path("runs/one"), Path("runs/four"))


@pytest.mark.nightly
def test_two_and_four_processes_train_a_text_as_one_does(poems):
    """Each process reads different streams of the text, and keeps the states of its streams from batch to batch."""
    train_in_child(*CHARACTERS, "out=runs/one")
    for world in (2, 4):
        train(*CHARACTERS, f"out=runs/{world}", "trainer=two_processes", f"trainer.devices={world}")
        assert_same_training(Path("runs/one"), Path(f"runs/{world}"))


def interrupt_after_save(number: int, send: Callable[[int, int], None], *overrides: str) -> tuple[int, str]:
    """Start a training, and send a signal after its next checkpoint. Return its exit code and output."""

    def last_saves() -> set[int]:
        return {path.stat().st_mtime_ns for path in Path().glob("runs/*/last.ckpt")}

    before, process = last_saves(), start(*overrides)
    while last_saves() == before:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    send(process.pid, number)
    output, _ = process.communicate(timeout=600)
    return process.returncode, output


@pytest.mark.faults
def test_a_signal_stops_all_processes_after_the_same_step_and_training_resumes_to_the_same_bytes(project):
    """SIGTERM reaches only the first process.

    A terminal sends SIGINT to all processes. A collective operation inside the signal handler would block.
    """
    overrides = (*DIGITS, "model.fit.laptop.epochs=20", "trainer=two_processes")
    train(*overrides, "out=runs/undisturbed")
    for number, send in ((signal.SIGTERM, os.kill), (signal.SIGINT, os.killpg)):
        code, output = interrupt_after_save(number, send, *overrides, "out=runs/disturbed")
        assert code == 128 + number and output.count("saved at step") == 1, output
        assert not Path("runs/disturbed").exists()
    train(*overrides, "out=runs/disturbed")
    for name in ("weights.safetensors", "history.csv", "module.json"):
        assert Path("runs/undisturbed", name).read_bytes() == Path("runs/disturbed", name).read_bytes(), name


@pytest.mark.slow
@pytest.mark.nightly
def test_torchrun_on_two_addresses_trains_without_slurm(project):
    """Two agents with different addresses connect through one port, as on two machines."""
    overrides = (*DIGITS, "model.batches.batch_size=72", "model.fit.laptop.epochs=2", "trainer=cluster_cpu")
    train_in_child(*overrides, "trainer.num_nodes=1", "trainer.strategy=auto", "out=runs/one")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    rendezvous = ("--nnodes=2", "--nproc-per-node=1", "--rdzv-backend=c10d", f"--rdzv-endpoint=127.0.0.1:{port}")
    nodes = [
        start(
            *overrides, "out=runs/two", launcher=("-m", "torch.distributed.run", *rendezvous, f"--local-addr={address}")
        )
        for address in ("127.0.0.1", "127.0.0.2")
    ]
    outputs = [node.communicate(timeout=1500)[0] for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], outputs
    assert_same_training(Path("runs/one"), Path("runs/two"))


@pytest.fixture
def sharded_drive(project) -> Path:
    """Return a project with a drive in shards.

    The drive has 121 training frames, so the last batch of 24 has one frame.
    """
    recordings.write_udacity_sim(project / "drive", 319)
    folder = project / "data" / "processed" / "sample_road"
    arguments = {**recordings.BLOCKS, **recordings.ARGUMENTS, "shard_megabytes": 0.1}
    preprocess_road(project / "drive", folder, "udacity_sim", **arguments)
    assert read_facts(folder)["items"]["train"] % 24 == 1
    return project


@pytest.mark.nightly
def test_two_and_four_processes_train_a_sharded_drive_as_one_does(sharded_drive):
    """Each process reads different shards. The last batch of an epoch has fewer frames than processes."""
    no_augmentation = [
        f"model.module.{name}=0.0" for name in ("mirror", "brightness", "shadow")
    ]  # Augmentation is off, because each rank draws different random numbers.
    overrides = ("dataset=sample_road", "model=pilotnet_brief", *no_augmentation, "model.batches.batch_size=24")
    train_in_child(*overrides, "out=runs/one")
    for world in (2, 4):
        train(*overrides, f"out=runs/{world}", "trainer=two_processes", f"trainer.devices={world}")
        assert_same_training(Path("runs/one"), Path(f"runs/{world}"))
