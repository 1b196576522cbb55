"""A toy language for the tests: English sentences of a few words, and the same in capitals, back to front."""

import itertools
from pathlib import Path

from lectern.tasks.translation.data.preprocess import preprocess
from lectern.tasks.translation.model.module import Translator

PAIRS = [
    (f"A {who} {does} {where}.", f"{where} {does} {who} a.".upper())
    for who, does, where in itertools.product(("man", "dog", "child"), ("sleeps", "sits"), ("here", "outside", "there"))
]
NETWORKS = {
    "seq2seq": {"class": "Seq2Seq", "attention": False, "embedded": 16, "width": 32},
    "attention": {"class": "Seq2Seq", "attention": True, "embedded": 16, "width": 32},
    "transformer": {"class": "Transformer", "width": 32, "inner": 64, "heads": 4, "layers": 2},
}


def make_processed(folder: Path, train=PAIRS, validation=PAIRS[:2], test=PAIRS[-2:], **arguments) -> Path:
    """A toy corpus, preprocessed. Validation and test are spelt otherwise, so that training keeps its pairs."""
    raw, out = folder / "raw", folder / "processed"
    raw.mkdir(parents=True)
    validation, test = (
        [(f"Now {source}", f"{target} Now") for source, target in part] if part in (PAIRS[:2], PAIRS[-2:]) else part
        for part in (validation, test)
    )
    for name, rows in (("train", train), ("validation", validation), ("test", test)):
        for side, language in enumerate(("en", "xx")):
            (raw / f"{name}.{language}").write_text("".join(f"{row[side]}\n" for row in rows))
    files = {name: f"{name}.{{language}}" for name in ("train", "validation", "test")}
    settings = {"vocabulary_size": 400, "max_length": 40, **arguments}
    preprocess(raw, out, source="en", target="xx", **files, **settings)
    return out


def make_translator(facts: dict, network: str, **arguments) -> Translator:
    """An untrained translator in evaluation mode."""
    return Translator(facts, NETWORKS[network], learning_rate=0.01, **arguments).eval()
