"""Generate text from a character model, one character at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from lectern.errors import UserError
from lectern.tasks.language_model.data.format.alphabet import UNKNOWN_ID, decode

if TYPE_CHECKING:  # avoids a circular import, because module.py imports generation.py
    from lectern.tasks.language_model.model.module import CharacterModel

MAX_LENGTH = 100_000


def generate_text(module: "CharacterModel", prompt: np.ndarray, length: int = 400, **options: Any) -> str:
    """Return the `length` characters that follow a prompt of ids.

    The keyword arguments are the options of `stream_characters`.
    """
    return "".join(stream_characters(module, prompt, length, **options))


def stream_characters(
    module: "CharacterModel", prompt: np.ndarray, length: int = 400, seed: int = 0, **sampling: Any
) -> Iterator[str]:
    """Return an iterator of the characters that follow a prompt of ids. Calls with equal arguments give equal texts.

    `sample_ids` explains the sampling options. Raises UserError immediately if an argument is out of range.

    >>> for character in stream_characters(module, encode("KING", facts), length=100, temperature=0.7):
    ...     print(character, end="")
    """
    check_sampling_options(length, seed, **sampling)
    ids = islice(generate_ids(module, prompt[np.newaxis], seed, **sampling), length)
    return (decode(row, module.facts) for row in ids)


def generate_texts(
    module: "CharacterModel", prompts: np.ndarray, length: int, seed: int = 0, **sampling: Any
) -> list[str]:
    """Return one text for each prompt. `prompts` contains character ids and has the shape (texts, time).

    One call of `generate_texts` is faster than a call of `generate_text` for each prompt.
    """
    check_sampling_options(length, seed, **sampling)
    columns = list(islice(generate_ids(module, prompts, seed, **sampling), length))
    return [decode(row, module.facts) for row in np.stack(columns, 1)]


def generate_ids(module: "CharacterModel", prompts: np.ndarray, seed: int, **sampling: Any) -> Iterator[np.ndarray]:
    """Yield the next ids, of shape (texts,), in an endless loop.

    The network keeps its state, so each new character needs only one step of the network. Random numbers come from a
    separate generator, so samples during a training do not change the random state of the training.
    """
    generator = np.random.default_rng(seed)
    start = prompts if prompts.shape[1] else make_start_ids(module.facts, len(prompts))
    ids = torch.from_numpy(start.astype(np.int64))
    state = None
    while True:
        with evaluation_mode(module):
            logits, state = module(ids.to(module.device), state)
        next_ids = sample_ids(logits[:, -1].float().cpu().numpy(), generator.random(len(ids)), **sampling)
        yield next_ids
        ids = torch.from_numpy(next_ids).unsqueeze(1)


def make_start_ids(facts: dict[str, Any], texts: int) -> np.ndarray:
    """Return the ids (texts, 1) of line endings, which replace empty prompts.

    If the alphabet has no line ending, the id is UNKNOWN_ID.
    """
    return np.full((texts, 1), facts["alphabet"].find("\n") + 1)


@contextmanager
def evaluation_mode(module: nn.Module) -> Iterator[None]:
    """Disable gradients and dropout, and restore the mode of the module at the end."""
    was_training = module.training
    module.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        module.train(was_training)


def sample_ids(
    logits: np.ndarray, draws: np.ndarray, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0
) -> np.ndarray:
    """Sample one id per text from logits (texts, characters), with draws (texts,) from [0, 1).

    A low temperature prefers likely characters, and 0 selects the most likely character. `top_k` is the number of most
    likely characters to keep. A `top_k` of 0 keeps all characters. `top_p` keeps the smallest set of characters whose
    total probability is at least `top_p` (Holtzman et al. 2020, arXiv:1904.09751). UNKNOWN_ID is never sampled.
    """
    logits = logits.astype(np.float64)
    logits[:, UNKNOWN_ID] = -np.inf
    order: np.ndarray = np.argsort(-logits, axis=1, kind="stable")  # most likely character first
    if temperature == 0:
        return order[:, 0]
    sorted_logits = np.take_along_axis(logits, order, 1)
    probabilities = np.exp((sorted_logits - sorted_logits[:, :1]) / temperature)
    if top_k:
        probabilities[:, top_k:] = 0
    probabilities /= probabilities.sum(1, keepdims=True)
    # The probabilities of the characters before a position already have a sum of at least top_p.
    probabilities[probabilities.cumsum(1) - probabilities >= top_p] = 0
    sums = probabilities.cumsum(1)
    rank = (draws[:, np.newaxis] * sums[:, -1:] >= sums).sum(1)
    return np.take_along_axis(order, rank[:, np.newaxis], 1)[:, 0]


def check_sampling_options(
    length: int, seed: int, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0
) -> None:
    """Raise UserError if an option is out of range."""
    if not 1 <= length <= MAX_LENGTH:
        raise UserError(f"length is {length}; it must be from 1 to {MAX_LENGTH:,} characters.")
    if not 0 <= temperature <= 10:
        raise UserError(f"temperature is {temperature}; it must be from 0 (always the most likely character) to 10.")
    if top_k < 0:
        raise UserError(f"top_k is {top_k}; it must be 0 (all characters) or the number of characters to keep.")
    if not 0 < top_p <= 1:
        raise UserError(f"top_p is {top_p}; it must be above 0 and at most 1 (all characters).")
    if seed < 0:
        raise UserError(f"seed is {seed}; it must not be negative.")
