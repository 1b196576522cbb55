"""Labelled sentences for the tests of the task sentences. One word of each sentence determines its class."""

import itertools
from pathlib import Path
from typing import TypeVar

from lectern.artifacts.dataset import read_facts
from lectern.tasks.sentences.data.preprocess import preprocess
from lectern.tasks.sentences.model.module import SentenceClassifier
from lectern.training.module import TrainableModule

CLASSES = ["negative", "positive"]
WORDS = (("dull", "bad", "slow"), ("great", "fine", "brilliant"))  # the words of each class
SENTENCES = [
    (label, f"the {subject} {verb} {word} {end}")
    for subject, verb, end in itertools.product(
        ("film", "plot", "cast"), ("is", "was", "seems"), ("tonight", "again", "today .")
    )
    for label, words in enumerate(WORDS)
    for word in words
]
NETWORKS = {
    "cnn": {"class": "SentenceCNN", "embedding_size": 16, "filters": 8, "dropout": 0.0},
    "max": {"class": "SentenceLSTM", "embedding_size": 16, "hidden_size": 16, "dropout": 0.0},
    "attention": {
        "class": "SentenceLSTM", "embedding_size": 16, "hidden_size": 16, "pooling": "attention", "dropout": 0.0,
    },
    "transformer": {
        "class": "SentenceTransformer", "hidden_size": 16, "feed_forward_size": 32, "heads": 2, "layers": 1,
        "dropout": 0.0,
    },
}  # fmt: skip

Module = TypeVar("Module", bound=TrainableModule)


def write_lines(path: Path, sentences: list[tuple[int, str]], encoding: str = "utf-8", end: str = "\n") -> None:
    """Write one sentence per line, after its label."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("".join(f"{label} {text}{end}" for label, text in sentences).encode(encoding))


def make_processed(folder: Path, sentences: list[tuple[int, str]] = SENTENCES, **arguments) -> Path:
    """Write and preprocess labelled sentences, and return the folder of the prepared dataset."""
    write_lines(folder / "raw/train.txt", sentences)
    settings = {"classes": CLASSES, "train": "train.txt", "validation": 0.2, "test": 0.2, **arguments}
    preprocess(folder / "raw", folder / "processed", **settings)
    return folder / "processed"


def make_classifier(processed: Path, network: str = "attention", **arguments) -> SentenceClassifier:
    """Return an untrained classifier."""
    return SentenceClassifier(read_facts(processed), NETWORKS[network], **{"learning_rate": 0.01, **arguments})


def train(module: Module, processed: Path, epochs: int = 12) -> Module:
    """Train a module with Adam, and return it in evaluation mode."""
    import torch

    from lectern.tasks.sentences.model.loader import load

    loader = load(processed, "train", 0, batch_size=16)
    optimizer = torch.optim.Adam(module.parameters(), 0.01)
    module.train()
    for epoch in range(epochs):
        loader.set_epoch(epoch)
        for number, batch in enumerate(loader):
            optimizer.zero_grad()
            module.training_step(batch, number).backward()
            optimizer.step()
    return module.eval()
