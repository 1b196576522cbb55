"""Raw works to three texts, packed as numbers of characters, plus the alphabet learned from the training works."""

import hashlib
import json
from pathlib import Path

import numpy as np

from lectern.artifacts.dataset import write_facts
from lectern.artifacts.digests import content_digest
from lectern.errors import UserError
from lectern.tasks.language_model.data.format.alphabet import normalise, prepare

SPLITS = ("train", "validation", "test")

Works = dict[str, str]  # name to text, in the order in which they are read


def preprocess(
    raw: Path,
    out: Path,
    split_by: str,
    validation: list[str] | float,
    test: list[str] | float,
    rare: int = 1,
    normal_form: str = "NFC",
) -> None:
    """Write ids of the training and validation text as `.npy`, the test text raw, then the facts.

    `split_by` is `name` (validation and test are names of works), `place` (shares at the end of each work) or `hash`
    (shares of the works, by a hash of their names). Characters that occur less than `rare` times in the training
    works are unknown too, which teaches the network what unknown means. Raises UserError for a split without text.
    """
    texts = split_works(read_works(raw), split_by, validation, test)
    facts = {"prepare": {"normal_form": normal_form}}
    facts |= {"alphabet": learn_alphabet(normalise(texts["train"], normal_form), rare)}
    out.mkdir(parents=True, exist_ok=True)
    for split in ("train", "validation"):
        np.save(out / f"{split}.npy", prepare(texts[split], facts))
    (out / "test.txt").write_text(texts["test"], encoding="utf-8", newline="")
    lines = {split: len(text.splitlines()) for split, text in texts.items()}
    characters = {split: len(text) for split, text in texts.items()}
    digest = content_digest([texts["test"]])
    write_facts(out, {**facts, "items": lines, "characters": characters, "test_digest": digest})


def learn_alphabet(text: str, rare: int = 1) -> str:
    """The characters that occur at least `rare` times, sorted; the id of a character is its place, from 1."""
    points = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    characters, counts = np.unique(points, return_counts=True)
    return "".join(map(chr, characters[counts >= rare]))


def split_works(works: Works, by: str, validation: list[str] | float, test: list[str] | float) -> dict[str, str]:
    """The text of each split. Raises UserError for a split that would be empty."""
    ways = {"name": split_by_name, "place": split_by_place, "hash": split_by_hash}
    if by not in ways:
        raise UserError(f"preprocess.split_by is {by!r}; it is one of {', '.join(ways)}.")
    check_split(by, validation, test)
    parts = ways[by](works, validation, test)
    texts = {split: "".join(parts[split].values()) for split in SPLITS}
    for split, text in texts.items():
        if not text:
            raise UserError(f"The {split} text would be empty: {len(works)} works, split by {by}. Change the split.")
    return texts


def check_split(by: str, validation: list[str] | float, test: list[str] | float) -> None:
    """Names where the split is by name, else shares that leave something to train on."""
    named = [isinstance(value, list) for value in (validation, test)]
    if by == "name" and not all(named):
        raise UserError("preprocess: to split by name, validation and test are lists of the names of works.")
    if by != "name" and (any(named) or not 0 < validation + test < 1):
        raise UserError(f"preprocess: to split by {by}, validation and test are shares that are together below 1.")


def split_by_name(works: Works, validation: list[str], test: list[str]) -> dict[str, Works]:
    """Whole works by their names."""
    missing = [name for name in (*validation, *test) if name not in works]
    if missing:
        raise UserError(f"No work is called {', '.join(missing)}. There is: {', '.join(works)}.")
    where = {**dict.fromkeys(works, "train"), **dict.fromkeys(validation, "validation"), **dict.fromkeys(test, "test")}
    return {split: {name: works[name] for name in works if where[name] == split} for split in SPLITS}


def split_by_hash(works: Works, validation: float, test: float) -> dict[str, Works]:
    """Whole works by a hash of their names: a work stays on its side when others come or go."""
    parts: dict[str, Works] = {split: {} for split in SPLITS}
    for name, text in works.items():
        draw = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4]) / 2**32
        parts["test" if draw < test else "validation" if draw < test + validation else "train"][name] = text
    return parts


def split_by_place(works: Works, validation: float, test: float) -> dict[str, Works]:
    """The end of each work is the test, what is just before it the validation text."""
    parts: dict[str, Works] = {split: {} for split in SPLITS}
    for name, text in works.items():
        first, second = int(len(text) * (1 - test - validation)), int(len(text) * (1 - test))
        for split, cut in zip(SPLITS, (slice(first), slice(first, second), slice(second, None)), strict=True):
            parts[split][name] = text[cut]
    return parts


def read_works(raw: Path) -> Works:
    """Every `.txt` file of a folder is a work; a `.jsonl` file holds one a line, `{"name": ..., "text": ...}`.

    Raises UserError where there is none, for an empty one, and for bytes that are no UTF-8.
    """
    works: Works = {}
    for path in sorted(raw.glob("*.txt")):
        works[path.name] = read_text(path)
    for path in sorted(raw.glob("*.jsonl")):
        works |= {work["name"]: work["text"] for work in map(json.loads, read_text(path).splitlines())}
    if not works:
        raise UserError(f"{raw} holds no text (*.txt or *.jsonl). Download it: dvc repro download@{raw.name}")
    return works


def read_text(path: Path) -> str:
    """A file as UTF-8 text that is not empty."""
    data = path.read_bytes()
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path} is no UTF-8 text: byte 0x{data[error.start]:02x} at offset {error.start} ({error.reason}). "
            "Convert the file to UTF-8, or download it again."
        ) from error
    if not text.strip():
        raise UserError(f"{path} is empty. Delete it, or download it again.")
    return text
