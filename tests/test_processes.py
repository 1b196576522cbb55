"""One training on several processes: the same items, the same loss, one end."""

import os
import signal
import socket
import subprocess
import sys
import time
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
DIGITS = ("dataset=sample_digits", "model=digits_cnn", "model.module.network.dropout=0.0")  # its draws are a rank's own
CHARACTERS = (
    "dataset=sample_code", "model=char_gru_demo", "model.module.network.hidden=16",
    "model.batches.batch_size=8", "model.batches.unroll=20",
)  # fmt: skip


def start(*overrides: str, launcher: tuple[str, ...] = ()) -> subprocess.Popen:
    """`python pipelines/train.py ...` in the folder that the test stands in."""
    return subprocess.Popen(
        [sys.executable, *launcher, "pipelines/train.py", *overrides, "trainer.threads=1"],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")}, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def train(*overrides: str) -> str:
    process = start(*overrides)
    said, _ = process.communicate(timeout=1500)
    assert process.returncode == 0, said
    return said


def assert_same_learning(one: Path, other: Path) -> None:
    """The same rows of history, with values and weights that differ in rounding only."""
    histories = [pd.read_csv(folder / "history.csv") for folder in (one, other)]
    assert histories[0][["step", "epoch", "name"]].equals(histories[1][["step", "epoch", "name"]])
    np.testing.assert_allclose(histories[0]["value"], histories[1]["value"], rtol=1e-3, atol=1e-4)
    weights = [load_file(folder / "weights.safetensors") for folder in (one, other)]
    for name, value in weights[0].items():
        np.testing.assert_allclose(value, weights[1][name], atol=1e-4, err_msg=name)


@pytest.fixture
def poems(project) -> Path:
    """A text of which every stream has its own part."""
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
            r"batch_size 3 is not divisible by 8 processes \(2 nodes x 4\); use 8, or another",
        ),
        (12, {"devices": 4, "num_nodes": 2}, r"use 8 or 16, or another number of processes"),
    ],
)
def test_a_batch_size_that_is_not_divisible_by_the_processes_is_rejected(batch_size, trainer, message):
    with pytest.raises(UserError, match=message):
        check_batch_divides({"batch_size": batch_size}, trainer, "conf/model/a.yaml, batches")


def train_here(*overrides: str) -> None:
    """The same with one process, whose imports this one has done already."""
    warm()
    ended = in_child(run_stage, "train", *overrides, "trainer.threads=1")
    assert ended.code == 0, ended.said


@pytest.mark.slow
def test_digits_are_learned_alike_by_one_process_and_by_four(project):
    """Also where the last batch of an epoch (33 of 1,257 images) does not divide."""
    recipe = (*DIGITS, "model.batches.batch_size=72", "model.fit.laptop.epochs=2")
    train_here(*recipe, "out=runs/one")
    train(*recipe, "out=runs/four", "trainer=two_processes", "trainer.devices=4")
    assert_same_learning(Path("runs/one"), Path("runs/four"))


@pytest.mark.slow
def test_a_text_is_learned_alike_by_one_process_and_by_two_and_four(poems):
    """Each process reads its own streams, and carries their state from batch to batch."""
    train_here(*CHARACTERS, "out=runs/one")
    for world in (2, 4):
        train(*CHARACTERS, f"out=runs/{world}", "trainer=two_processes", f"trainer.devices={world}")
        assert_same_learning(Path("runs/one"), Path(f"runs/{world}"))


def wait_for(pattern: str, process: subprocess.Popen) -> None:
    while not list(Path().glob(pattern)):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)


@pytest.mark.slow
def test_processes_told_to_end_end_after_the_same_step_and_go_on_to_the_same_bytes(project):
    """Only the first is told. Its own collective from within the signal, as Lightning's handler has it, would block."""
    recipe = (*DIGITS, "model.fit.laptop.epochs=20", "trainer=two_processes")
    train(*recipe, "out=runs/undisturbed")
    process = start(*recipe, "out=runs/disturbed")
    wait_for("runs/*/last.ckpt", process)
    os.kill(process.pid, signal.SIGTERM)
    said, _ = process.communicate(timeout=600)
    assert process.returncode == 143, said
    assert not Path("runs/disturbed").exists()
    train(*recipe, "out=runs/disturbed")
    for name in ("weights.safetensors", "history.csv", "module.json"):
        assert Path("runs/undisturbed", name).read_bytes() == Path("runs/disturbed", name).read_bytes(), name


@pytest.mark.slow
def test_torchrun_on_two_addresses_trains_without_slurm(project):
    """Two agents that meet on a port, each on an address of its own, as two machines would."""
    recipe = (*DIGITS, "model.batches.batch_size=72", "model.fit.laptop.epochs=2", "trainer=cluster_cpu")
    train_here(*recipe, "trainer.num_nodes=1", "trainer.strategy=auto", "out=runs/one")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    meeting = ("--nnodes=2", "--nproc-per-node=1", "--rdzv-backend=c10d", f"--rdzv-endpoint=127.0.0.1:{port}")
    nodes = [
        start(*recipe, "out=runs/two", launcher=("-m", "torch.distributed.run", *meeting, f"--local-addr={address}"))
        for address in ("127.0.0.1", "127.0.0.2")
    ]
    said = [node.communicate(timeout=1500)[0] for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], said
    assert_same_learning(Path("runs/one"), Path("runs/two"))


@pytest.fixture
def road(project) -> Path:
    """A drive in shards, of 121 frames to learn from: a batch of 24 leaves one over, which one process has."""
    recordings.write_udacity_sim(project / "drive", 319)
    folder = project / "data" / "processed" / "sample_road"
    arguments = {**recordings.BLOCKS, **recordings.ARGUMENTS, "shard_megabytes": 0.1}
    preprocess_road(project / "drive", folder, "udacity_sim", **arguments)
    assert read_facts(folder)["items"]["train"] % 24 == 1
    return project


@pytest.mark.slow
def test_a_drive_in_shards_is_learned_alike_by_one_process_and_by_two_and_four(road):
    """Each process reads shards of its own; the last batch of an epoch has fewer frames than there are processes."""
    still = [f"model.module.{draw}=0.0" for draw in ("mirror", "brightness", "shadow")]  # draws are a rank's own
    recipe = ("dataset=sample_road", "model=pilotnet_brief", *still, "model.batches.batch_size=24")
    train_here(*recipe, "out=runs/one")
    for world in (2, 4):
        train(*recipe, f"out=runs/{world}", "trainer=two_processes", f"trainer.devices={world}")
        assert_same_learning(Path("runs/one"), Path(f"runs/{world}"))
