"""A toy corpus and untrained toy networks for the tests of the translation task.

The target of a pair consists of the parts of the source sentence in reverse order and in capital letters.
"""

import itertools
from pathlib import Path

from lectern.tasks.translation.data.preprocess import preprocess
from lectern.tasks.translation.model.module import Translator

PAIRS = [
    (f"A {subject} {verb} {place}.", f"{place} {verb} {subject} a.".upper())
    for subject, verb, place in itertools.product(
        ("man", "dog", "child"), ("sleeps", "sits"), ("here", "outside", "there")
    )
]
NETWORKS = {
    "seq2seq": {"class": "Seq2Seq", "attention": False, "embedding_size": 16, "hidden_size": 32},
    "attention": {"class": "Seq2Seq", "attention": True, "embedding_size": 16, "hidden_size": 32},
    "transformer": {"class": "Transformer", "hidden_size": 32, "feed_forward_size": 64, "heads": 4, "layers": 2},
}


def make_processed(folder: Path, train=PAIRS, validation=PAIRS[:2], test=PAIRS[-2:], **arguments) -> Path:
    """Write and preprocess a toy corpus, and return the folder of the prepared dataset.

    The default validation and test sentences get an additional word, so that preprocessing does not remove similar
    training pairs.
    """
    raw, out = folder / "raw", folder / "processed"
    raw.mkdir(parents=True)
    validation, test = (
        [(f"Now {source}", f"{target} Now") for source, target in pairs] if pairs in (PAIRS[:2], PAIRS[-2:]) else pairs
        for pairs in (validation, test)
    )
    for name, pairs in (("train", train), ("validation", validation), ("test", test)):
        for side, language in enumerate(("en", "xx")):
            (raw / f"{name}.{language}").write_text("".join(f"{pair[side]}\n" for pair in pairs))
    files = {name: f"{name}.{{language}}" for name in ("train", "validation", "test")}
    settings = {"vocabulary_size": 400, "max_length": 40, **arguments}
    preprocess(raw, out, source="en", target="xx", **files, **settings)
    return out


def make_translator(facts: dict, network: str, **arguments) -> Translator:
    """Return an untrained translator in evaluation mode."""
    return Translator(facts, NETWORKS[network], learning_rate=0.01, **arguments).eval()
