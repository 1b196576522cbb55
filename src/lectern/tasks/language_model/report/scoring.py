"""A network and a text to the nats of each of its characters, and whether the network would have guessed it."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from lectern.tasks.language_model.model.generation import reading
from lectern.tasks.language_model.model.loader import IGNORED, LONG, Streams

WARM_UP = 500  # characters read before a stream's own: more than any of these networks was seen to look back
PIECE = 100  # characters a step


def score_text(module, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Nats and hits, one of each a character, of a whole text (ids) read once from its start with resume_state state.

    Long texts are cut into streams that are read side by side, each after a warm-up on what stands before it.
    """
    text = torch.from_numpy(ids.astype(np.int64))
    streams = Streams(text, max(1, len(text) // LONG), PIECE)
    with reading(module):
        state = warm_up(module, text, streams.cuts[1:-1])
        nats, hits, counted = [], [], []
        for given, targets, _ in streams:
            logits, state = module(given.to(module.device), state)
            counted.append(targets != IGNORED)
            each = measure(logits, targets.to(module.device).clamp(min=0))
            nats.append(each[0])
            hits.append(each[1])
    kept = torch.cat(counted, 1)  # (streams, time): read row by row it is the text again
    return torch.cat(nats, 1)[kept].numpy(), torch.cat(hits, 1)[kept].numpy()


def warm_up(module, text: Tensor, cuts: list[int]) -> Tensor:
    """The state of each stream where it starts: the first one has read nothing, others what is before their cut."""
    state = module.network.start(1)
    if not cuts:
        return state
    before = torch.stack([text[cut - WARM_UP : cut] for cut in cuts])  # (streams - 1, warm-up)
    after = module.network.start(len(cuts))
    for given in before[:, :-1].split(PIECE, 1):  # the last one is the stream's own first input
        _, after = module(given.to(module.device), after)
    return torch.cat([state, after.to(state.dtype)])


def score_afresh(module, ids: np.ndarray, length: int) -> np.ndarray:
    """Nats (windows, length) where the state is reset before each window of a text: what position costs."""
    windows = torch.from_numpy(ids[: len(ids) // length * length].astype(np.int64)).view(-1, length)
    before = F.pad(windows.flatten()[:-1], (1, 0)).view(-1, length)  # the character before is given, its past is not
    with reading(module):
        parts = [
            measure(module(given.to(module.device))[0], targets.to(module.device))[0]
            for given, targets in zip(before.split(256), windows.split(256), strict=True)
        ]
    return torch.cat(parts).numpy()


def measure(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Nats and hits (streams, time) of logits (streams, time, characters)."""
    nats = F.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), reduction="none")
    return nats.view(targets.shape).cpu(), (logits.argmax(-1) == targets).cpu()
