"""Score the baseline, which is an n-gram model that predicts a character from the last five characters."""

from pathlib import Path

import numpy as np

from lectern.artifacts.dataset import read_facts
from lectern.tasks.language_model.data.format.alphabet import encode

CONTEXT_LENGTH = 5  # characters


def score_baseline(processed: Path) -> float:
    """Return the mean loss of the n-gram model on the test text, in nats per character."""
    ids = encode(read_test_text(processed), read_facts(processed))
    return float(compute_baseline_nats(processed, ids).mean())


def compute_baseline_nats(processed: Path, ids: np.ndarray) -> np.ndarray:
    """Return the loss in nats of the n-gram model at each character of a text.

    The probabilities of the n-gram model are computed from the training text.
    """
    return compute_ngram_nats(np.load(processed / "train.npy"), ids, 1 + len(read_facts(processed)["alphabet"]))


def read_test_text(processed: Path) -> str:
    """Return the raw test text of a prepared dataset."""
    with open(processed / "test.txt", encoding="utf-8", newline="") as file:
        return file.read()


def compute_ngram_nats(
    train: np.ndarray, text: np.ndarray, vocabulary: int, context: int = CONTEXT_LENGTH
) -> np.ndarray:
    """Return the loss in nats of each id in `text`, predicted from the previous `context` ids.

    The probabilities come from the counts in `train` (Witten and Bell 1991). If a context occurs n times and is
    followed by t different characters, the probability of a character after the context is p = (count + t * p_shorter)
    / (n + t). `count` is how often the character follows the context. `p_shorter` is the probability of the character
    after the context without its first character. For the empty context, `p_shorter` is 1 / vocabulary. With sorted
    arrays of counts, the computation takes only seconds for a text of five million characters.
    """
    probability = np.full(len(text), 1 / vocabulary)
    for length in range(1, context + 2):
        grams, counts = np.unique(pack_ngrams(train, length, vocabulary), return_counts=True)
        contexts, starts = np.unique(grams // vocabulary, return_index=True)
        successors = np.diff(np.append(starts, len(grams)))
        keys = pack_ngrams(np.concatenate([np.zeros(length - 1, text.dtype), text]), length, vocabulary)
        count = look_up_values(keys, grams, counts)
        context_count = look_up_values(keys // vocabulary, contexts, np.add.reduceat(counts, starts))
        different = look_up_values(keys // vocabulary, contexts, successors)
        mixed = (count + different * probability) / np.maximum(context_count + different, 1)
        probability = np.where(context_count > 0, mixed, probability)
    nats: np.ndarray = -np.log(probability)
    return nats


def pack_ngrams(ids: np.ndarray, length: int, vocabulary: int) -> np.ndarray:
    """Return each sequence of `length` ids as one integer with the base `vocabulary`.

    Six ids fit into 64 bits if the vocabulary has fewer than 1,400 ids.
    """
    ids = ids.astype(np.int64)
    packed = np.zeros(max(len(ids) - length + 1, 0), np.int64)
    for shift in range(length):
        packed = packed * vocabulary + ids[shift : shift + len(packed)]
    return packed


def look_up_values(keys: np.ndarray, sorted_keys: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the value of each key in a table with the columns `sorted_keys` and `values`, or 0 for a missing key."""
    index = np.searchsorted(sorted_keys, keys).clip(max=len(sorted_keys) - 1)
    return np.where(sorted_keys[index] == keys, values[index], 0)
