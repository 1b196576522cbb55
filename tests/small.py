"""A training small enough for a test, that carries every kind of state which a killed run could lose."""

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
    "network": {"class": "DigitResNet", "width": 8, "blocks": 1},  # with batch norm: buffers
    "learning_rate": 0.01,
    "shift": 1.0,  # draws from torch's random state
}
STEPS = 6  # an epoch


class Restless(DigitClassifier):
    """Also draws from Python's and NumPy's random states, and carries a tensor from step to step."""

    def on_train_epoch_start(self) -> None:
        self.resume_state = {"memory": torch.zeros(())}

    def training_step(self, batch, index):
        loss = super().training_step(batch, index)
        self.resume_state["memory"] = 0.9 * self.resume_state["memory"] + loss.detach()
        self.step_metrics["memory"] = self.resume_state["memory"]
        return loss * (1 + 0.1 * self.resume_state["memory"] + 0.1 * random.random() + 0.1 * np.random.rand())


Restless.__module__ = DigitClassifier.__module__  # a model folder tells the room by it


def facts() -> dict[str, Any]:
    return {"mean": 0.5, "deviation": 0.3}


def digits(first: int, last: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Images and labels that are functions of their index."""
    numbers = torch.arange(first, last)
    pixels = torch.arange(28 * 28).reshape(1, 28, 28)
    return ((numbers[:, None, None] * 7 + pixels * (numbers % 10 + 1)[:, None, None]) % 256).byte(), numbers % 10


def fit(module, folder: Path, *, seed: int = 7, epochs: int = 3, **more: Any) -> History:
    """Ninety-two images in batches of 16: six steps an epoch, the last of twelve images."""
    train = InMemoryLoader(*digits(0, 92), batch_size=16, shuffle=True, seed=seed)
    validation = InMemoryLoader(*digits(92, 116), batch_size=16)
    return training.fit(
        module, train, validation, **{"folder": folder, "trainer": TRAINER, "best": BEST, "epochs": epochs, **more}
    )


def train(folder: Path, seed: int = 7, every: int = 4, **more: Any) -> None:
    """From the seed to a model folder in `folder/model`, with checkpoints in `folder/run`."""
    training.ExactResume = partial(ExactResume, every=every)
    training.History = partial(History, every=4)
    training.set_determinism(seed, threads=1)
    module = Restless(facts(), **RECIPE)
    history = fit(module, folder / "run", seed=seed, **{"validations_per_epoch": 2, **more})
    history_file.write_history(history.records, history.text_samples, folder / "model")
    model_folder.save_model(module, folder / "model")
