"""A training text to an n-gram model of it, the floor: what counting the last four characters can tell of the next."""

import numpy as np


def score_ngram(train: np.ndarray, text: np.ndarray, vocabulary: int, order: int = 5) -> np.ndarray:
    """Nats of each character of `text` (ids) under an n-gram model of `train` (ids) with Witten-Bell smoothing.

    Each order is mixed with the one below it: after a context that was seen n times with t different successors,
    p = (count + t * p_below) / (n + t) (Witten and Bell 1991); below the single characters all are equally likely.
    Everything is sorted arrays, so five million characters take seconds.
    """
    check_size(vocabulary, order)
    likelihood = np.full(len(text), 1 / vocabulary)
    for length in range(1, order + 1):
        grams, counts = np.unique(pack(train, length, vocabulary), return_counts=True)
        contexts, starts = np.unique(grams // vocabulary, return_index=True)
        seen = np.add.reduceat(counts, starts)  # how often each context was seen
        successors = np.diff(np.append(starts, len(grams)))
        wanted = pack(np.concatenate([np.zeros(length - 1, text.dtype), text]), length, vocabulary)
        count = look_up(wanted, grams, counts)
        context = wanted // vocabulary
        total, different = look_up(context, contexts, seen), look_up(context, contexts, successors)
        mixed = (count + different * likelihood) / np.maximum(total + different, 1)
        likelihood = np.where(total > 0, mixed, likelihood)
    return -np.log(likelihood)


def check_size(vocabulary: int, order: int) -> None:
    if vocabulary**order >= 2**63:
        raise ValueError(f"{order}-grams of {vocabulary} characters do not fit into 64 bits")


def pack(ids: np.ndarray, length: int, vocabulary: int) -> np.ndarray:
    """Every run of `length` ids as one number; the last id is its last digit."""
    ids = ids.astype(np.int64)
    packed = np.zeros(len(ids) - length + 1, np.int64)
    for shift in range(length):
        packed = packed * vocabulary + ids[shift : len(ids) - length + 1 + shift]
    return packed


def look_up(wanted: np.ndarray, keys: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The value of each wanted key in sorted keys, 0 where there is none."""
    place = np.searchsorted(keys, wanted).clip(max=len(keys) - 1)
    return np.where(keys[place] == wanted, values[place], 0)
