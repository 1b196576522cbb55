"""Compare losses and sample weights for a recording whose angles are mostly zero, on a small substitute for PilotNet.

    python bench/steering_losses.py data/processed/udacity_sim

For each setting, prints how far the RMSE on the validation drives is below the RMSE of the mean angle, for the recorded
and for the averaged label: the mean over the seeds and the range. The network uses frames of 22 x 50 pixels, so that
all settings can be compared within minutes. The test data is not used.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import torch
import typer
from torch import Tensor, nn
from torch.nn import functional as F

from lectern.artifacts.dataset import read_facts
from lectern.training.optimizers import one_cycle

BATCH_SIZE, PEAK_LEARNING_RATE = 64, 0.003
LABELS = {"angle": "recorded", "angle_averaged": "averaged"}

Weights = Callable[[Tensor], Tensor]  # maps normalized angles (N,) to the weight of each frame


def equal_weights(angles: Tensor) -> Tensor:
    return torch.ones_like(angles)


def drop_straight_frames(angles: Tensor) -> Tensor:
    """Leave out two thirds of the nearly straight frames, as many recipes do."""
    return torch.where(angles.abs() > 0.2, 1.0, (torch.rand_like(angles) < 1 / 3).float())


def triple_turns(angles: Tensor) -> Tensor:
    """Give turns three times the weight of other frames."""
    return 1 + 2 * (angles.abs() > 1).float()


SETTINGS: list[tuple[str, Callable, str, Weights]] = [
    ("squared error, recorded label", F.mse_loss, "angle", equal_weights),
    ("squared error, averaged label", F.mse_loss, "angle_averaged", equal_weights),
    ("absolute error, recorded label", F.l1_loss, "angle", equal_weights),
    ("absolute error, averaged label", F.l1_loss, "angle_averaged", equal_weights),
    ("Huber loss, averaged label", F.huber_loss, "angle_averaged", equal_weights),
    ("squared error, averaged label, fewer straight frames", F.mse_loss, "angle_averaged", drop_straight_frames),
    ("squared error, averaged label, turns with weight three", F.mse_loss, "angle_averaged", triple_turns),
]


def main(
    processed: Annotated[Path, typer.Argument(help="a processed dataset of the steering task")],
    epochs: Annotated[int, typer.Option(help="number of epochs per training")] = 12,
    seeds: Annotated[int, typer.Option(help="number of trainings per setting")] = 3,
) -> None:
    torch.set_num_threads(1)
    facts = read_facts(processed)
    train, validation = read_small_frames(processed, "train"), read_small_frames(processed, "validation")
    for name, loss, label, weights in SETTINGS:
        gains = []
        for seed in range(seeds):
            torch.manual_seed(seed)
            network = train_network(*train, loss, label, weights, facts["deviation"][label], epochs)
            gains.append(measure_gains(network, *validation, facts, label))
        means, low, high = np.mean(gains, 0), np.min(gains, 0), np.max(gains, 0)
        values = (f"{key} {means[i]:.1%} ({low[i]:.1%} to {high[i]:.1%})" for i, key in enumerate(LABELS.values()))
        print(f"{name}: {', '.join(values)}", flush=True)


def read_small_frames(processed: Path, split: str) -> tuple[Tensor, pd.DataFrame]:
    """Read the frames of a split, (N, 3, 22, 50) with values from -1 to 1, and their table."""
    frames = torch.from_numpy(np.load(processed / f"{split}_frames.npy")).permute(0, 3, 1, 2)
    small = [F.interpolate(chunk.float(), (22, 50), mode="area") for chunk in frames.split(256)]
    return torch.cat(small) / 127.5 - 1, pd.read_parquet(processed / f"{split}.parquet")


def train_network(
    frames: Tensor, table: pd.DataFrame, loss: Callable, label: str, weights: Weights, deviation: float, epochs: int
) -> nn.Module:
    """Train a small CNN on the frames and their mirror images."""
    angles = torch.tensor(table[label].to_numpy(np.float32)) / deviation
    network = create_network()
    network(frames[:1])  # sets the size of the lazy layer
    steps = epochs * -(-len(frames) // BATCH_SIZE)
    optimizer = torch.optim.AdamW(network.parameters(), PEAK_LEARNING_RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, one_cycle(0, steps, 0.25, start=0.04))
    for _ in range(epochs):
        for rows in torch.randperm(len(frames)).split(BATCH_SIZE):
            signs = torch.where(torch.rand(len(rows)) < 0.5, -1.0, 1.0)  # -1 mirrors the frame and its angle
            images = torch.where(signs.view(-1, 1, 1, 1) < 0, frames[rows].flip(3), frames[rows])
            targets, sample_weights = angles[rows] * signs, weights(angles[rows])
            errors = loss(network(images)[:, 0], targets, reduction="none")
            optimizer.zero_grad()
            ((errors * sample_weights).sum() / sample_weights.sum().clamp(min=1)).backward()
            optimizer.step()
            schedule.step()
    return network.eval()


def create_network() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(3, 16, 5, 2), nn.ReLU()),
        *(nn.Conv2d(16, 32, 3, 2), nn.ReLU()),
        *(nn.Conv2d(32, 32, 3, 1), nn.ReLU()),
        *(nn.Flatten(), nn.Dropout(0.2), nn.LazyLinear(64), nn.ReLU(), nn.Linear(64, 1)),
    )


@torch.inference_mode()
def measure_gains(network: nn.Module, frames: Tensor, table: pd.DataFrame, facts: dict, label: str) -> list[float]:
    """Return, for both labels, how far the RMSE is below the RMSE of the training mean, as a share."""
    predictions = network(frames)[:, 0].numpy() * facts["deviation"][label]
    errors = [((predictions - table[name]) ** 2).mean() ** 0.5 for name in LABELS]
    baselines = [((table[name] - facts["mean"][name]) ** 2).mean() ** 0.5 for name in LABELS]
    return [1 - error / baseline for error, baseline in zip(errors, baselines, strict=True)]


if __name__ == "__main__":
    typer.run(main)
