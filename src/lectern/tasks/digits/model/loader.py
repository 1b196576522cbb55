"""Packed digits to batches of (images, labels, share)."""

from pathlib import Path

import numpy as np
import torch

from lectern.training.loader import InMemoryLoader


def load(processed: Path, split: str, seed: int, batch_size: int) -> InMemoryLoader:
    """uint8 images (B, 28, 28) and int64 labels (B,) of a split, the training split in a new order each epoch."""
    images = torch.from_numpy(np.load(processed / f"{split}_images.npy"))
    labels = torch.from_numpy(np.load(processed / f"{split}_labels.npy").astype(np.int64))
    return InMemoryLoader(images, labels, batch_size=batch_size, shuffle=split == "train", seed=seed)
