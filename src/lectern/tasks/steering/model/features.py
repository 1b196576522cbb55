"""Frames to what a trained CNN sees of them, computed once and kept on the disk under the digest of both."""

import hashlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from lectern.artifacts.paths import FEATURES
from lectern.atomic import atomic_file
from lectern.tasks.steering.data.format.shards import ShardedFrames
from lectern.tasks.steering.model.scaling import scale

FOLDER = FEATURES  # beside the outs of DVC's stages, not in them: safe to delete
CHUNK = 256  # frames that are looked at together


def see_all(see: nn.Module, frames: Tensor | ShardedFrames) -> Tensor:
    """uint8 frames (N, height, width, 3) to features (N, 2, D): of each frame as it is, and mirrored.

    Read from `data/features` where the same weights have seen the same frames before; memory-mapped.
    """
    path = FOLDER / f"{digest(see, frames)}.npy"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as part:
            write(part, see, frames)
    return torch.from_numpy(np.load(path, mmap_mode="c"))


@torch.no_grad()
def write(path: Path, see: nn.Module, frames: Tensor | ShardedFrames) -> None:
    device = next(see.parameters()).device
    features = None
    for start in range(0, len(frames), CHUNK):
        chunk = frames[start : start + CHUNK].unsqueeze(1).to(device)
        seen = [see(scale(images)[:, 0]).float().cpu().numpy() for images in (chunk, chunk.flip(3))]
        if features is None:
            shape = (len(frames), 2, seen[0].shape[1])
            features = np.lib.format.open_memmap(path, "w+", np.float32, shape)
        features[start : start + CHUNK] = np.stack(seen, 1)
    features.flush()


def digest(see: nn.Module, frames: Tensor | ShardedFrames) -> str:
    """Of the CNN's weights and of the frames: what the features depend on."""
    found = hashlib.sha256()
    for name, weights in sorted(see.state_dict().items()):
        found.update(f"{name} {tuple(weights.shape)}\n".encode())
        found.update(weights.detach().cpu().contiguous().numpy())
    for start in range(0, len(frames), CHUNK):
        found.update(frames[start : start + CHUNK].numpy())
    return found.hexdigest()[:32]


def mirrored_or_not(features: Tensor, mirrored: Tensor) -> Tensor:
    """Of features (B, length, 2, D) those of the mirrored frames where it says so: (B, length, D)."""
    return torch.where(mirrored.view(-1, 1, 1), features[:, :, 1], features[:, :, 0])
