"""Encode frames once with a trained CNN, and cache the result on disk."""

import hashlib
import os
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from lectern.artifacts.paths import FEATURES
from lectern.atomic import atomic_file
from lectern.tasks.steering.data.format.shards import ShardedFrames
from lectern.tasks.steering.model.scaling import scale

CHUNK = 256  # number of frames that are encoded together


def encode_frames(encoder: nn.Module, frames: Tensor | ShardedFrames) -> Tensor:
    """Encode uint8 frames (N, height, width, 3) to features (N, 2, D).

    `features[:, 0]` belongs to the recorded frames, and `features[:, 1]` to the mirrored frames.

    The features are memory-mapped from a file in `data/features`. The name of the file is a digest of the weights and
    the frames, and the file is written only if it does not exist.
    """
    path = FEATURES / f"{digest_inputs(encoder, frames)}.npy"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as temporary:
            write_features(temporary, encoder, frames)
    return torch.from_numpy(np.load(path, mmap_mode="c"))


@torch.no_grad()
def write_features(path: Path, encoder: nn.Module, frames: Tensor | ShardedFrames) -> None:
    device = next(encoder.parameters()).device
    features: np.memmap | None = None
    for start in range(0, len(frames), CHUNK):
        chunk = frames[start : start + CHUNK].unsqueeze(1).to(device)
        encoded = [encoder(scale(images)[:, 0]).float().cpu().numpy() for images in (chunk, chunk.flip(3))]
        if features is None:
            shape = (len(frames), 2, encoded[0].shape[1])
            features = np.lib.format.open_memmap(path, "w+", np.float32, shape)
            reserve_space(path)
        features[start : start + CHUNK] = np.stack(encoded, 1)
    if features is not None:
        features.flush()


def reserve_space(path: Path) -> None:
    """Allocate the disk blocks of a file.

    If the disk is full, posix_fallocate raises OSError. Without the allocation, writing to the mapped file on a full
    disk would kill the process.
    """
    with open(path, "r+b") as file:
        os.posix_fallocate(file.fileno(), 0, path.stat().st_size)


def digest_inputs(encoder: nn.Module, frames: Tensor | ShardedFrames) -> str:
    """Return a digest of everything that determines the features: the weights of the encoder and the frames."""
    digest = hashlib.sha256()
    for name, weights in sorted(encoder.state_dict().items()):
        digest.update(f"{name} {tuple(weights.shape)}\n".encode())
        digest.update(weights.detach().cpu().contiguous().numpy().data)
    for start in range(0, len(frames), CHUNK):
        digest.update(np.ascontiguousarray(frames[start : start + CHUNK].numpy()).data)
    return digest.hexdigest()[:32]


def select_mirrored(features: Tensor, mirrored: Tensor) -> Tensor:
    """Select the mirrored or the recorded features (B, length, 2, D) of each sequence. Returns (B, length, D)."""
    return torch.where(mirrored.view(-1, 1, 1), features[:, :, 1], features[:, :, 0])
