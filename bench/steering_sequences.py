"""How many windows a second a sequence network trains on, and follows a drive by: each frame once, or once a window.

    python bench/steering_sequences.py --network CNNLSTM --threads 2

The naive way takes every window as frames of its own, as a loader of windows would. Both ways compute the same
outputs (the tests hold them to 1e-5); rounds of the two are interleaved.
"""

import statistics
import time
from collections.abc import Callable
from typing import Annotated

import numpy as np

from lectern.tasks.steering.model import inference  # first: torch reads once, when it loads, how threads wait

# isort: split
import torch
import typer

from lectern.tasks.steering.model.module import SteeringModel

TARGETS = ("angle", "angle_averaged", "speed", "throttle")
FACTS = {
    "targets": list(TARGETS),
    "mean": dict.fromkeys(TARGETS, 0.0),
    "deviation": dict.fromkeys(TARGETS, 1.0),
    "prepare": {"height": 66, "width": 200},
}
STRETCH = 24  # windows of one stretch, as in conf/model/cnn_lstm.yaml


def main(
    network: Annotated[str, typer.Option(help="CNNLSTM or CNN3D")] = "CNNLSTM",
    threads: Annotated[int, typer.Option(help="of torch")] = 2,
    batch: Annotated[int, typer.Option(help="stretches")] = 4,
    rounds: Annotated[int, typer.Option(help="of both ways")] = 5,
) -> None:
    torch.set_num_threads(threads)
    driver = SteeringModel(FACTS, {"class": network}, {"angle": 1.0, "speed": 0.1, "throttle": 0.1}, 0.001)
    length = STRETCH + driver.network.window - 1
    frames = torch.randint(0, 256, (batch, length, 66, 200, 3), dtype=torch.uint8)
    inputs = (driver, frames, torch.rand(batch, length, len(TARGETS)))
    compare("training", batch * STRETCH, rounds, lambda: train(*inputs), lambda: train_naive(*inputs))
    driver.eval()
    drive = (driver, frames.flatten(0, 1)[:64].numpy())
    compare("following", len(drive[1]), rounds, lambda: inference.follow(*drive), lambda: follow_naive(*drive))


def compare(what: str, windows: int, rounds: int, fast: Callable, naive: Callable) -> None:
    fast(), naive()
    speeds = [(windows / clock(fast), windows / clock(naive)) for _ in range(rounds)]
    ours, theirs = (statistics.median(way) for way in zip(*speeds, strict=True))
    times = statistics.median(quick / slow for quick, slow in speeds)
    print(f"{what}: {ours:.0f} windows/s, naively {theirs:.0f}: {times:.1f} times as fast", flush=True)


def clock(work: Callable) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def train(driver: SteeringModel, frames: torch.Tensor, targets: torch.Tensor) -> None:
    driver.zero_grad()
    driver.training_step((frames, targets, 1.0), 0).backward()


def train_naive(driver: SteeringModel, frames: torch.Tensor, targets: torch.Tensor) -> None:
    """The same windows, each with frames of its own; a stretch at a time, so that memory does not decide."""
    window = driver.network.window
    driver.zero_grad()
    for stretch, wanted in zip(frames, targets, strict=True):
        windows = stretch.unfold(0, window, 1).permute(0, 4, 1, 2, 3)
        batch = (windows, wanted.unfold(0, window, 1).permute(0, 2, 1), 1.0)
        (driver.training_step(batch, 0) / len(frames)).backward()


@torch.inference_mode()
def follow_naive(driver: SteeringModel, drive: np.ndarray) -> np.ndarray:
    window = driver.network.window
    rows = (np.arange(len(drive))[:, None] + np.arange(1 - window, 1)).clip(0)
    return torch.cat([inference.run(driver, drive[some])[:, -1] for some in np.array_split(rows, 4)]).numpy()


if __name__ == "__main__":
    typer.run(main)
