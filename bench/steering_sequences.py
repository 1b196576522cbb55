"""Measure how many windows per second a sequence network processes, in training and along a drive.

    python bench/steering_sequences.py --network CNNLSTM --threads 2

Lectern passes each frame through the CNN once. The naive method passes the frames of every window separately, as a
loader of windows would. Both methods compute the same outputs (the tests compare them to 1e-5). Rounds of the two
methods are interleaved.
"""

import statistics
import time
from collections.abc import Callable
from typing import Annotated

import numpy as np

from lectern.tasks.steering.model import inference  # imported first: it sets how OpenMP threads wait

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
WINDOWS = 24  # per sequence, as in conf/model/cnn_lstm.yaml


def main(
    network: Annotated[str, typer.Option(help="CNNLSTM or CNN3D")] = "CNNLSTM",
    threads: Annotated[int, typer.Option(help="number of torch threads")] = 2,
    batch_size: Annotated[int, typer.Option(help="number of sequences per batch")] = 4,
    rounds: Annotated[int, typer.Option(help="number of rounds per method")] = 5,
) -> None:
    torch.set_num_threads(threads)
    model = SteeringModel(FACTS, {"class": network}, {"angle": 1.0, "speed": 0.1, "throttle": 0.1}, 0.001)
    length = WINDOWS + model.network.window - 1
    frames = torch.randint(0, 256, (batch_size, length, 66, 200, 3), dtype=torch.uint8)
    inputs = (model, frames, torch.rand(batch_size, length, len(TARGETS)))
    compare("training", batch_size * WINDOWS, rounds, lambda: train(*inputs), lambda: train_naively(*inputs))
    model.eval()
    drive = frames.flatten(0, 1)[:64].numpy()
    predict = (lambda: inference.predict_drive(model, drive), lambda: predict_naively(model, drive))
    compare("drive", len(drive), rounds, *predict)


def compare(name: str, windows: int, rounds: int, fast: Callable, naive: Callable) -> None:
    """Print the windows per second of both methods and the median of their ratio."""
    fast(), naive()  # warm-up
    speeds = [(windows / measure_seconds(fast), windows / measure_seconds(naive)) for _ in range(rounds)]
    fast_speed, naive_speed = (statistics.median(method) for method in zip(*speeds, strict=True))
    ratio = statistics.median(fast_one / naive_one for fast_one, naive_one in speeds)
    print(f"{name}: {fast_speed:.0f} windows/s, naive {naive_speed:.0f}: {ratio:.1f} times as fast", flush=True)


def measure_seconds(function: Callable) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def train(model: SteeringModel, frames: torch.Tensor, targets: torch.Tensor) -> None:
    model.zero_grad()
    model.training_step((frames, targets, 1.0), 0).backward()


def train_naively(model: SteeringModel, frames: torch.Tensor, targets: torch.Tensor) -> None:
    """Train on the same windows with separate frames, one sequence at a time to limit the memory."""
    window = model.network.window
    model.zero_grad()
    for sequence, sequence_targets in zip(frames, targets, strict=True):
        windows = sequence.unfold(0, window, 1).permute(0, 4, 1, 2, 3)
        batch = (windows, sequence_targets.unfold(0, window, 1).permute(0, 2, 1), 1.0)
        (model.training_step(batch, 0) / len(frames)).backward()


@torch.inference_mode()
def predict_naively(model: SteeringModel, drive: np.ndarray) -> np.ndarray:
    """Predict every frame of a drive from a window of its own frames."""
    window = model.network.window
    rows = (np.arange(len(drive))[:, None] + np.arange(1 - window, 1)).clip(0)
    parts = [inference.predict_sequences(model, drive[part])[:, -1] for part in np.array_split(rows, 4)]
    return torch.cat(parts).numpy()


if __name__ == "__main__":
    typer.run(main)
