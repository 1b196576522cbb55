"""Load a packed split of the digits as batches of (images, labels, loss weight)."""

from pathlib import Path

import numpy as np
import torch

from lectern.config import PositiveInt
from lectern.training.loader import InMemoryLoader


def load(processed: Path, split: str, seed: int, batch_size: PositiveInt) -> InMemoryLoader:
    """Load a split as batches of uint8 images (B, 28, 28) and int64 labels (B,).

    The training split is shuffled again in each epoch.
    """
    images = torch.from_numpy(np.load(processed / f"{split}_images.npy"))
    labels = torch.from_numpy(np.load(processed / f"{split}_labels.npy").astype(np.int64))
    return InMemoryLoader(images, labels, batch_size=batch_size, shuffle=split == "train", seed=seed)
