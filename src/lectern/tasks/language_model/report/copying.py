"""Find the longest sequence of characters that a network copies from the training text."""

from typing import Any

import numpy as np

from lectern.tasks.language_model.data.format.alphabet import decode

HASH_BASE = np.uint64(0x9E3779B97F4A7C15 | 1)  # base of a rolling hash modulo 2**64


def compare_copying(
    samples: list[np.ndarray], held_out: np.ndarray, train: np.ndarray, facts: dict[str, Any]
) -> dict[str, dict[str, Any]]:
    """Find the longest sequence of characters that generated samples share with the training text.

    For comparison, also find the longest sequence that a held-out text shares with the training text. Only parts of the
    held-out text are searched, and each part has the size of a sample. A held-out text is not a copy, so its longest
    shared sequence consists of names and common phrases.
    """
    starts = np.linspace(0, max(len(held_out) - len(samples[0]), 0), len(samples)).astype(int)
    parts = [held_out[start : start + len(samples[0])] for start in starts]
    return {"sampled": find_longest_copy(samples, train, facts), "held_out": find_longest_copy(parts, train, facts)}


def find_longest_copy(texts: list[np.ndarray], train: np.ndarray, facts: dict[str, Any]) -> dict[str, Any]:
    """Return the longest sequence that one of the texts shares with `train`, and the total length of the texts."""
    # an id that no text contains; it separates the texts, so that no shared sequence continues in the next text
    separator = np.full(1, len(facts["alphabet"]) + 1, np.uint16)
    joined = np.concatenate([part for text in texts for part in (text, separator)])
    length, start = find_longest_shared_run(joined, train)
    return {
        "characters": sum(map(len, texts)),
        "length": length,
        "run": decode(joined[start : start + length], facts),
    }


def find_longest_shared_run(text: np.ndarray, source: np.ndarray) -> tuple[int, int]:
    """Find the longest sequence of ids that occurs in both texts. Return its length and its start in `text`.

    If a sequence of n ids is shared, its parts of n - 1 ids are also shared. A binary search can therefore find the
    largest n. Sequences are compared by their hashes.

    >>> find_longest_shared_run(np.array([9, 1, 2, 3, 8]), np.array([1, 2, 3, 4]))
    (3, 1)
    """
    # Loop invariant: the texts share a sequence of `low` ids, but no sequence of `high + 1` ids.
    low, high, start = 0, min(len(text), len(source)), 0
    while low < high:
        middle = min((low + high + 1) // 2, 2 * low + 8)  # most shared sequences are short
        shared_start = find_shared_run(text, source, middle)
        if shared_start is None:
            high = middle - 1
        else:
            low, start = middle, shared_start
    return low, start


def find_shared_run(text: np.ndarray, source: np.ndarray, length: int) -> int | None:
    """Search for a sequence of `length` ids that occurs in both texts. Return its start in `text`, or None."""
    text_hashes, source_hashes = hash_runs(text, length), hash_runs(source, length)
    known = np.sort(text_hashes)  # only the shorter text is sorted, because its hashes fit into the cache
    shared = source_hashes[known[np.searchsorted(known, source_hashes).clip(max=len(known) - 1)] == source_hashes]
    return int(np.isin(text_hashes, shared).argmax()) if len(shared) else None


def hash_runs(ids: np.ndarray, length: int) -> np.ndarray:
    """Return a hash of each sequence of `length` ids.

    The hash of a long sequence is computed from the hashes of its halves, so the computation time grows with the
    logarithm of `length`.
    """
    ids = ids.astype(np.uint64) + np.uint64(1)
    with np.errstate(over="ignore"):  # hashes are computed modulo 2**64
        hashes, size, power = ids, 1, HASH_BASE
        for bit in bin(length)[3:]:
            hashes = hashes[:-size] * power + hashes[size:]
            size, power = 2 * size, power * power
            if bit == "1":
                hashes = hashes[:-1] * HASH_BASE + ids[size:]
                size, power = size + 1, power * HASH_BASE
    return hashes


def format_copying(copying: dict[str, dict[str, Any]]) -> str:
    """Return a Markdown text with the result of `compare_copying`."""
    sampled, held_out = copying["sampled"], copying["held_out"]
    return (
        "# Longest copy of the training text\n\n"
        f"In {sampled['characters']:,} generated characters, the longest sequence that is also in the training text "
        f"has {sampled['length']} characters:\n\n```text\n{sampled['run']}\n```\n\n"
        f"In {held_out['characters']:,} characters of the test text, the longest shared sequence has "
        f"{held_out['length']} characters. The test text is not a copy, "
        f"so shared sequences are common phrases:\n\n```text\n{held_out['run']}\n```\n"
    )
