"""Which loss and balance a recording whose angles are mostly zero asks for, on a small stand-in for PilotNet.

    python bench/steering_losses.py data/processed/udacity_sim

prints, for each choice, how far below the mean angle's RMSE the validation drives come, as recorded and averaged: the
mean over seeds and the range. The stand-in sees 22 x 50 pixels, so that all choices are compared within minutes; the
test data is not touched.
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
from lectern.tasks.steering.model.schedule import one_cycle

BATCH, PEAK = 64, 0.003
LABELS = ["angle", "angle_averaged"]
NAMES = list(enumerate(("recorded", "averaged")))

Weights = Callable[[Tensor], Tensor]  # from angles (N,), in deviations, to how much each frame counts


def all_alike(angles: Tensor) -> Tensor:
    return torch.ones_like(angles)


def fewer_straight(angles: Tensor) -> Tensor:
    """Two thirds of the frames that go nearly straight are left out, as many recipes do."""
    return torch.where(angles.abs() > 0.2, 1.0, (torch.rand_like(angles) < 1 / 3).float())


def turns_count_more(angles: Tensor) -> Tensor:
    return 1 + 2 * (angles.abs() > 1).float()


CHOICES: list[tuple[str, Callable, str, Weights]] = [
    ("squared error, as recorded", F.mse_loss, "angle", all_alike),
    ("squared error, averaged", F.mse_loss, "angle_averaged", all_alike),
    ("absolute error, as recorded", F.l1_loss, "angle", all_alike),
    ("absolute error, averaged", F.l1_loss, "angle_averaged", all_alike),
    ("Huber's error, averaged", F.huber_loss, "angle_averaged", all_alike),
    ("squared, averaged, fewer straight frames", F.mse_loss, "angle_averaged", fewer_straight),
    ("squared, averaged, turns count three times", F.mse_loss, "angle_averaged", turns_count_more),
]


def main(
    processed: Annotated[Path, typer.Argument(help="a recording that has been preprocessed")],
    epochs: Annotated[int, typer.Option(help="of each training")] = 12,
    seeds: Annotated[int, typer.Option(help="of each choice")] = 3,
) -> None:
    torch.set_num_threads(1)
    facts = read_facts(processed)
    train, validation = read(processed, "train"), read(processed, "validation")
    for name, loss, label, weights in CHOICES:
        found = []
        for seed in range(seeds):
            torch.manual_seed(seed)
            network = learn(*train, loss, label, weights, facts["deviation"][label], epochs)
            found.append(measure(network, *validation, facts, label))
        means, low, high = np.mean(found, 0), np.min(found, 0), np.max(found, 0)
        values = (
            f"{of} {means[i]:.1%} ({low[i]:.1%} to {high[i]:.1%})" for i, of in enumerate(("recorded", "averaged"))
        )
        print(f"{name}: {', '.join(values)}", flush=True)


def read(processed: Path, split: str) -> tuple[Tensor, pd.DataFrame]:
    """Small frames (N, 3, 22, 50), -1 to 1, and their table."""
    frames = torch.from_numpy(np.load(processed / f"{split}_frames.npy")).permute(0, 3, 1, 2)
    small = [F.interpolate(chunk.float(), (22, 50), mode="area") for chunk in frames.split(256)]
    return torch.cat(small) / 127.5 - 1, pd.read_parquet(processed / f"{split}.parquet")


def learn(
    frames: Tensor, table: pd.DataFrame, loss: Callable, label: str, weights: Weights, deviation: float, epochs: int
) -> nn.Module:
    """A small CNN that learned from the frames and their mirror images."""
    angles = torch.tensor(table[label].to_numpy(np.float32)) / deviation
    network = nn.Sequential(
        *(nn.Conv2d(3, 16, 5, 2), nn.ReLU()),
        *(nn.Conv2d(16, 32, 3, 2), nn.ReLU()),
        *(nn.Conv2d(32, 32, 3, 1), nn.ReLU()),
        *(nn.Flatten(), nn.Dropout(0.2), nn.LazyLinear(64), nn.ReLU(), nn.Linear(64, 1)),
    )
    network(frames[:1])
    steps = epochs * -(-len(frames) // BATCH)
    optimizer = torch.optim.AdamW(network.parameters(), PEAK, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, one_cycle(0, steps, 0.25))
    for _ in range(epochs):
        for rows in torch.randperm(len(frames)).split(BATCH):
            turned = torch.where(torch.rand(len(rows)) < 0.5, -1.0, 1.0)
            images = torch.where(turned.view(-1, 1, 1, 1) < 0, frames[rows].flip(3), frames[rows])
            wanted, counts = angles[rows] * turned, weights(angles[rows])
            errors = loss(network(images)[:, 0], wanted, reduction="none")
            optimizer.zero_grad()
            ((errors * counts).sum() / counts.sum().clamp(min=1)).backward()
            optimizer.step()
            schedule.step()
    return network.eval()


@torch.inference_mode()
def measure(network: nn.Module, frames: Tensor, table: pd.DataFrame, facts: dict, label: str) -> list[float]:
    """How far below the RMSE of the training mean, for both labels."""
    said = network(frames)[:, 0].numpy() * facts["deviation"][label]
    errors = [((said - table[name]) ** 2).mean() ** 0.5 for name in LABELS]
    baselines = [((table[name] - facts["mean"][name]) ** 2).mean() ** 0.5 for name in LABELS]
    return [1 - error / baseline for error, baseline in zip(errors, baselines, strict=True)]


if __name__ == "__main__":
    typer.run(main)
