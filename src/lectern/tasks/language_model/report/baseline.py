"""A training text to a model that counts, the baseline: what the last five characters alone tell of the next."""

from pathlib import Path

import numpy as np

from lectern.artifacts.dataset import read_facts
from lectern.tasks.language_model.data.format.alphabet import prepare

CONTEXT = 5  # characters of it


def score_ngram(train: np.ndarray, text: np.ndarray, vocabulary: int, context: int = CONTEXT) -> np.ndarray:
    """Nats of each character of `text` (ids) given the `context` before it, counted in `train` (ids).

    Contexts of each length are mixed with those one shorter: after one that was seen n times with t different
    successors, p = (count + t * p_shorter) / (n + t) (Witten and Bell 1991); without context all are equally likely
    at first. All is sorted arrays, so five million characters take seconds.
    """
    likelihood = np.full(len(text), 1 / vocabulary)
    for length in range(1, context + 2):
        grams, counts = np.unique(pack(train, length, vocabulary), return_counts=True)
        contexts, starts = np.unique(grams // vocabulary, return_index=True)
        successors = np.diff(np.append(starts, len(grams)))
        wanted = pack(np.concatenate([np.zeros(length - 1, text.dtype), text]), length, vocabulary)
        count = look_up(wanted, grams, counts)
        seen = look_up(wanted // vocabulary, contexts, np.add.reduceat(counts, starts))
        different = look_up(wanted // vocabulary, contexts, successors)
        mixed = (count + different * likelihood) / np.maximum(seen + different, 1)
        likelihood = np.where(seen > 0, mixed, likelihood)
    return -np.log(likelihood)


def pack(ids: np.ndarray, length: int, vocabulary: int) -> np.ndarray:
    """Every run of `length` ids as one number whose last digit is the last id; below 1,400 ids, six fit 64 bits."""
    ids = ids.astype(np.int64)
    packed = np.zeros(max(len(ids) - length + 1, 0), np.int64)
    for shift in range(length):
        packed = packed * vocabulary + ids[shift : shift + len(packed)]
    return packed


def look_up(wanted: np.ndarray, keys: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The value of each wanted key in sorted keys, 0 where there is none."""
    place = np.searchsorted(keys, wanted).clip(max=len(keys) - 1)
    return np.where(keys[place] == wanted, values[place], 0)


def score_baseline(processed: Path) -> float:
    """The nats a character of counting what follows the last five characters in the training text."""
    return float(count_nats(processed, prepare(read_test(processed), read_facts(processed))).mean())


def count_nats(processed: Path, ids: np.ndarray) -> np.ndarray:
    """Nats of each character under the counting model of the training text."""
    return score_ngram(np.load(processed / "train.npy"), ids, 1 + len(read_facts(processed)["alphabet"]))


def read_test(processed: Path) -> str:
    """The raw test text."""
    with open(processed / "test.txt", encoding="utf-8", newline="") as file:
        return file.read()
