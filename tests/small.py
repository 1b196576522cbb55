"""Run a small training that has every kind of state that a killed training could lose."""

import random
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lectern.artifacts import history_file, model_folder
from lectern.tasks.digits.model.module import DigitClassifier
from lectern.training import fit as training
from lectern.training.checkpointing import ExactResume
from lectern.training.history import History
from lectern.training.loader import InMemoryLoader

TRAINER = {"accelerator": "cpu", "devices": 1, "num_nodes": 1, "strategy": "auto", "threads": 1}
BEST = {"metric": "validation_accuracy", "mode": "max"}
RECIPE = {
    "network": {"class": "DigitResNet", "width": 8, "blocks": 1},  # The batch norm layers of this network have buffers.
    "learning_rate": 0.01,
    "shift": 1.0,  # The augmentation uses PyTorch's random number generator.
    "slant": 0.2,
    "stroke_width": 0.5,
}
STEPS = 6  # number of training steps per epoch


class StatefulClassifier(DigitClassifier):
    """A classifier that also uses the random generators of Python and NumPy, and keeps a tensor between steps."""

    def on_train_epoch_start(self) -> None:
        self.resume_state = {"memory": torch.zeros(())}

    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)
        self.resume_state["memory"] = 0.9 * self.resume_state["memory"] + loss.detach()
        self.step_metrics["memory"] = self.resume_state["memory"]
        return loss * (1 + 0.1 * self.resume_state["memory"] + 0.1 * random.random() + 0.1 * np.random.rand())


StatefulClassifier.__module__ = DigitClassifier.__module__  # a model folder records the task of this module


def facts() -> dict[str, Any]:
    return {"mean": 0.5, "deviation": 0.3}


def digits(first: int, last: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return images and labels that are computed from their index, without randomness."""
    numbers = torch.arange(first, last)
    pixels = torch.arange(28 * 28).reshape(1, 28, 28)
    return ((numbers[:, None, None] * 7 + pixels * (numbers % 10 + 1)[:, None, None]) % 256).byte(), numbers % 10


def fit(module, folder: Path, *, seed: int = 7, epochs: int = 3, **options: Any) -> History:
    """Train on 92 images in batches of 16: six steps per epoch, with 12 images in the last batch."""
    train_batches = InMemoryLoader(*digits(0, 92), batch_size=16, shuffle=True, seed=seed)
    validation_batches = InMemoryLoader(*digits(92, 116), batch_size=16)
    arguments = {"folder": folder, "trainer": TRAINER, "best": BEST, "epochs": epochs, **options}
    return training.fit(module, train_batches, validation_batches, **arguments)


def train(folder: Path, seed: int = 7, interval: int = 4, **options: Any) -> None:
    """Train with checkpoints in `folder/run` every `interval` steps, and write the model folder `folder/model`."""
    training.ExactResume = partial(ExactResume, interval=interval)
    training.History = partial(History, interval=4)
    training.set_determinism(seed, threads=1)
    module = StatefulClassifier(facts(), **RECIPE)
    history = fit(module, folder / "run", seed=seed, **{"validations_per_epoch": 2, **options})
    history_file.write_history(history.records, history.text_samples, folder / "model")
    model_folder.save_model(module, folder / "model")
