"""A prompt to the characters that a network writes after it, as they come."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice

import numpy as np
import torch

from lectern.errors import UserError
from lectern.tasks.language_model.data.format.alphabet import UNKNOWN, decode

LONGEST = 100_000  # characters of one request


def write(module, prompt: np.ndarray, length: int = 400, **how) -> str:
    """The `length` characters that follow a prepared prompt (ids); `how` as in `choose`, and `seed`."""
    return "".join(stream(module, prompt, length, **how))


def stream(module, prompt: np.ndarray, length: int = 400, seed: int = 0, **how) -> Iterator[str]:
    """One character after the other; the same arguments give the same text. Raises UserError at once for a bad one.

    >>> for character in stream(module, prepare("KING", facts), length=100, temperature=0.7): print(character, end="")
    """
    check(length, seed, **how)
    ids = islice(write_ids(module, prompt[np.newaxis], seed, **how), length)
    return (decode(row, module.facts) for row in ids)


def write_together(module, prompts: np.ndarray, length: int, seed: int = 0, **how) -> list[str]:
    """Several texts side by side, faster than one after the other; prompts are ids (texts, time)."""
    check(length, seed, **how)
    columns = list(islice(write_ids(module, prompts, seed, **how), length))
    return [decode(row, module.facts) for row in np.stack(columns, 1)]


def write_ids(module, prompts: np.ndarray, seed: int, **how) -> Iterator[np.ndarray]:
    """Ids (texts,) of a next character without end: one step of the network each, its state kept.

    Draws come from a generator of their own, so that a sample in mid-training leaves the training as it was.
    """
    draws = np.random.default_rng(seed)
    ids = torch.from_numpy((prompts if prompts.shape[1] else first(module.facts, len(prompts))).astype(np.int64))
    state = None
    while True:
        with reading(module):
            logits, state = module(ids.to(module.device), state)
        chosen = choose(logits[:, -1].float().cpu().numpy(), draws.random(len(ids)), **how)
        yield chosen
        ids = torch.from_numpy(chosen).unsqueeze(1)


def first(facts: dict, texts: int) -> np.ndarray:
    """What stands in for an empty prompt: the end of a line, where the alphabet has one."""
    return np.full((texts, 1), facts["alphabet"].find("\n") + 1)


@contextmanager
def reading(module) -> Iterator[None]:
    """No gradients and no dropout inside; the module is afterwards in the mode it was in before."""
    before = module.training
    module.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        module.train(before)


def choose(
    logits: np.ndarray, draws: np.ndarray, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0
) -> np.ndarray:
    """Logits (texts, characters) and draws in [0, 1) (texts,) to an id each.

    A low temperature prefers the likely; 0 takes the likeliest. `top_k` keeps that many of the likeliest (0: all),
    `top_p` the fewest that are together at least so likely (Holtzman et al. 2020, arXiv:1904.09751). UNKNOWN is
    never written.
    """
    logits = logits.astype(np.float64)
    logits[:, UNKNOWN] = -np.inf
    if temperature == 0:
        return logits.argmax(1)
    order = np.argsort(-logits, axis=1, kind="stable")  # the likeliest first
    ranked = np.take_along_axis(logits, order, 1)
    likely = np.exp((ranked - ranked[:, :1]) / temperature)
    if top_k:
        likely[:, top_k:] = 0
    likely /= likely.sum(1, keepdims=True)
    likely[likely.cumsum(1) - likely >= top_p] = 0  # what is before already reaches it
    sums = likely.cumsum(1)
    rank = (draws[:, np.newaxis] * sums[:, -1:] >= sums).sum(1)
    return np.take_along_axis(order, rank[:, np.newaxis], 1)[:, 0]


def check(length: int, seed: int, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0) -> None:
    """Raises UserError for what is out of range."""
    if not 1 <= length <= LONGEST:
        raise UserError(f"length is {length}; it must be from 1 to {LONGEST:,} characters.")
    if not 0 <= temperature <= 10:
        raise UserError(f"temperature is {temperature}; it must be from 0 (always the likeliest character) to 10.")
    if top_k < 0:
        raise UserError(f"top_k is {top_k}; it must be 0 (all characters) or the number of likeliest ones to keep.")
    if not 0 < top_p <= 1:
        raise UserError(f"top_p is {top_p}; it must be above 0 and at most 1 (all characters).")
    if seed < 0:
        raise UserError(f"seed is {seed}; it must not be negative.")
