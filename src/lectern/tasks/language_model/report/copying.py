"""Two texts to the longest run of characters that stands in both: how much of what was written was learned by heart."""

import numpy as np

from lectern.tasks.language_model.data.format.alphabet import decode

BASE = np.uint64(0x9E3779B97F4A7C15 | 1)  # of the rolling hash, modulo 2**64


def longest_shared_run(text: np.ndarray, source: np.ndarray) -> tuple[int, int]:
    """Length and start (in `text`) of the longest run of ids that also stands in `source`.

    A run of n contains runs of n - 1, so the length is found by halving; runs are compared by their hashes.

    >>> longest_shared_run(np.array([9, 1, 2, 3, 8]), np.array([1, 2, 3, 4]))
    (3, 1)
    """
    low, high, where = 0, min(len(text), len(source)), 0  # a run of `low` is shared, none of `high + 1`
    while low < high:
        middle = min((low + high + 1) // 2, 2 * low + 8)  # most shared runs are short
        found = find_shared(text, source, middle)
        if found is None:
            high = middle - 1
        else:
            low, where = middle, found
    return low, where


def find_shared(text: np.ndarray, source: np.ndarray, length: int) -> int | None:
    """Where in `text` a run of that length starts that also stands in `source`."""
    wanted = hash_runs(text, length)
    known = np.sort(wanted)  # of the shorter text: small enough to stay near the processor
    there = hash_runs(source, length)
    shared = there[known[np.searchsorted(known, there).clip(max=len(known) - 1)] == there]
    return int(np.isin(wanted, shared).argmax()) if len(shared) else None


def hash_runs(ids: np.ndarray, length: int) -> np.ndarray:
    """A number for every run of `length` ids, by doubling: a run's hash is made of those of its two halves."""
    ids = ids.astype(np.uint64) + np.uint64(1)
    with np.errstate(over="ignore"):  # the hash lives modulo 2**64
        hashes, size, power = ids, 1, BASE
        for bit in bin(length)[3:]:
            hashes = hashes[:-size] * power + hashes[size:]
            size, power = 2 * size, power * power
            if bit == "1":
                hashes = hashes[:-1] * BASE + ids[size:]
                size, power = size + 1, power * BASE
    return hashes


def compare_copying(samples: list[np.ndarray], held_out: np.ndarray, train: np.ndarray, facts: dict) -> dict:
    """The longest run copied from the training text in sampled texts, and in as much of a held-out text.

    The second says how much is common to all texts of the kind, as names and set phrases are.
    """
    starts = np.linspace(0, max(len(held_out) - len(samples[0]), 0), len(samples)).astype(int)
    pieces = [held_out[start : start + len(samples[0])] for start in starts]
    return {"sampled": longest_of(samples, train, facts), "held_out": longest_of(pieces, train, facts)}


def longest_of(texts: list[np.ndarray], train: np.ndarray, facts: dict) -> dict:
    """How many characters were looked at, and the longest shared run of one of the texts."""
    apart = np.full(1, len(facts["alphabet"]) + 1, np.uint16)  # an id that no text holds: no run crosses an edge
    joined = np.concatenate([part for text in texts for part in (text, apart)])
    length, start = longest_shared_run(joined, train)
    return {
        "characters": sum(map(len, texts)),
        "length": length,
        "run": decode(joined[start : start + length], facts),
    }


def tell_copying(copying: dict) -> str:
    """The two runs in words."""
    sampled, held_out = copying["sampled"], copying["held_out"]
    return (
        "# What was learned by heart\n\n"
        f"The longest run that also stands in the training text, of {sampled['characters']:,} sampled characters "
        f"({sampled['length']} characters):\n\n```text\n{sampled['run']}\n```\n\n"
        f"and of {held_out['characters']:,} characters of the test text, which nobody copied "
        f"({held_out['length']} characters):\n\n```text\n{held_out['run']}\n```\n"
    )
