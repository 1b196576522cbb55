"""Compute the loss of a network at each character of a text, and whether each character is predicted correctly."""

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from lectern.tasks.language_model.model.generation import evaluation_mode
from lectern.tasks.language_model.model.loader import IGNORE_INDEX, LONG_STREAM_LENGTH, TextStreams

if TYPE_CHECKING:
    from lectern.tasks.language_model.model.module import CharacterModel

WARM_UP_LENGTH = 500  # number of characters; no measured network used a longer context
CHUNK_LENGTH = 100  # number of characters per forward pass


def score_text(module: "CharacterModel", ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return for each character of a text (ids) the loss in nats, and whether the character is predicted correctly.

    A long text is cut into streams that the network reads in parallel. Before each stream, the network reads the last
    characters of the previous stream.
    """
    text = torch.from_numpy(ids.astype(np.int64))
    streams = TextStreams(text, max(1, len(text) // LONG_STREAM_LENGTH), CHUNK_LENGTH)
    all_nats, all_hits, all_counted = [], [], []
    with evaluation_mode(module):
        state = compute_start_states(module, text, streams.boundaries[1:-1])
        for inputs, targets, _ in streams:
            logits, state = module(inputs.to(module.device), state)
            nats, hits = compute_nats_and_hits(logits, targets.to(module.device).clamp(min=0))
            all_nats.append(nats)
            all_hits.append(hits)
            all_counted.append(targets != IGNORE_INDEX)
    counted = torch.cat(all_counted, 1)  # (streams, time); together, the counted targets are the complete text
    return torch.cat(all_nats, 1)[counted].numpy(), torch.cat(all_hits, 1)[counted].numpy()


def compute_start_states(module: "CharacterModel", text: Tensor, boundaries: list[int]) -> Tensor:
    """Return the state of the network at the start of each stream. The first stream starts with the initial state."""
    first = module.network.initial_state(1)
    if not boundaries:
        return first
    contexts = torch.stack([text[start - WARM_UP_LENGTH : start] for start in boundaries])  # (streams - 1, warm-up)
    others = module.network.initial_state(len(boundaries))
    # The last character of the context is left out, because it is the first input of the stream.
    for inputs in torch.split(contexts[:, :-1], CHUNK_LENGTH, 1):
        _, others = module(inputs.to(module.device), others)
    return torch.cat([first, others.to(first.dtype)])


def score_with_reset(module: "CharacterModel", ids: np.ndarray, length: int) -> np.ndarray:
    """Return the loss (windows, length) in nats with a reset of the state before each window of `length` characters.

    The network reads the character before each window, but no earlier character.
    """
    windows = torch.from_numpy(ids[: len(ids) // length * length].astype(np.int64)).view(-1, length)
    inputs = F.pad(windows.flatten()[:-1], (1, 0)).view(-1, length)
    with evaluation_mode(module):
        nats = [
            compute_nats_and_hits(module(batch.to(module.device))[0], targets.to(module.device))[0]
            for batch, targets in zip(torch.split(inputs, 256), torch.split(windows, 256), strict=True)
        ]
    return torch.cat(nats).numpy()


def compute_nats_and_hits(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return the loss and the correctness of each prediction, both (streams, time).

    `logits` has the shape (streams, time, characters).
    """
    nats = F.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), reduction="none")
    return nats.view(targets.shape).cpu(), (logits.argmax(-1) == targets).cpu()
