"""Split raw works into training, validation and test text, build the alphabet, and encode texts as character ids."""

import hashlib
import json
from itertools import accumulate
from pathlib import Path

import numpy as np

from lectern.artifacts.dataset import write_facts
from lectern.artifacts.digests import content_digest
from lectern.atomic import write_json
from lectern.errors import UserError
from lectern.tasks.language_model.data.format.alphabet import NormalForm, encode, normalize
from lectern.user_files.plain_text import decode_text
from lectern.user_files.system_files import is_system_file

SPLITS = ("train", "validation", "test")

Works = dict[str, str]  # maps the name of each work to its text, in reading order


def preprocess(
    raw: Path,
    out: Path,
    split_by: str,
    validation: list[str] | float,
    test: list[str] | float,
    min_count: int = 1,
    normal_form: NormalForm = "NFC",
) -> None:
    """Write the ids of the training and validation text as `.npy` files, the test text as raw text, and `facts.json`.

    `split_by` selects how the works are split:

    - With `name`, `validation` and `test` are lists of work names.
    - With `position`, `validation` and `test` are shares of each work, taken from its end.
    - With `hash`, `validation` and `test` are shares of complete works, selected by a hash of their names.

    The alphabet contains the characters that occur at least `min_count` times in the training text. If `min_count` is
    above 1, rare characters of the training text become unknown characters, so that the network is trained with unknown
    characters. If the test text has several works, `test_works.json` contains the line in which each work starts.
    Raises UserError if a split would be empty.
    """
    works = split_works(read_works(raw), split_by, validation, test)
    texts = {split: "".join(parts.values()) for split, parts in works.items()}
    alphabet = build_alphabet(normalize(texts["train"], normal_form), min_count)
    facts = {"prepare": {"normal_form": normal_form}, "alphabet": alphabet}
    out.mkdir(parents=True, exist_ok=True)
    for split in ("train", "validation"):
        np.save(out / f"{split}.npy", encode(texts[split], facts))
    (out / "test.txt").write_text(texts["test"], encoding="utf-8", newline="")
    if len(works["test"]) > 1:
        write_json(out / "test_works.json", find_first_lines(works["test"], normal_form))
    lines = {split: count_lines(normalize(text, normal_form)) for split, text in texts.items()}
    characters = {split: len(text) for split, text in texts.items()}
    digest = content_digest([texts["test"]])
    write_facts(out, {**facts, "items": lines, "characters": characters, "test_digest": digest})


def build_alphabet(text: str, min_count: int = 1) -> str:
    """Return the sorted characters that occur at least `min_count` times in a text.

    The position of a character in the alphabet, counted from 1, is its id.
    """
    code_points = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    characters, counts = np.unique(code_points, return_counts=True)
    return "".join(map(chr, characters[counts >= min_count]))


def count_lines(text: str) -> int:
    return len(text.removesuffix("\n").split("\n"))


def find_first_lines(works: Works, normal_form: NormalForm) -> dict[str, int]:
    """Return a dict from the name of each work to the line in which it starts in the joined text of all works."""
    newlines = [normalize(text, normal_form).count("\n") for text in works.values()]
    return dict(zip(works, accumulate(newlines, initial=0), strict=False))


def split_works(
    works: Works, split_by: str, validation: list[str] | float, test: list[str] | float
) -> dict[str, Works]:
    """Return a dict from each split to its works.

    Raises UserError if the arguments do not fit `split_by`, or if a split would be empty.
    """
    if split_by == "name":
        if not (isinstance(validation, list) and isinstance(test, list)):
            raise UserError("preprocess: with split_by=name, validation and test must be lists of work names.")
        parts = split_by_name(works, validation, test)
    elif split_by in ("position", "hash"):
        if isinstance(validation, list) or isinstance(test, list) or not 0 < validation + test < 1:
            raise UserError(
                f"preprocess: with split_by={split_by}, validation and test must be shares with a sum below 1; "
                f"got {validation} and {test}."
            )
        split = split_by_position if split_by == "position" else split_by_hash
        parts = split(works, validation, test)
    else:
        raise UserError(f"preprocess.split_by is {split_by!r}; it must be name, position or hash.")
    for name in SPLITS:
        if not any(parts[name].values()):
            raise UserError(
                f"The {name} text is empty after splitting {len(works)} works by {split_by}. Change the split."
            )
    return parts


def split_by_name(works: Works, validation: list[str], test: list[str]) -> dict[str, Works]:
    """Assign complete works to the splits by the names of the works."""
    missing = [name for name in (*validation, *test) if name not in works]
    if missing:
        raise UserError(f"There is no work named {', '.join(missing)}. Available works: {', '.join(works)}.")
    assigned = {**dict.fromkeys(validation, "validation"), **dict.fromkeys(test, "test")}
    return {split: {name: works[name] for name in works if assigned.get(name, "train") == split} for split in SPLITS}


def split_by_hash(works: Works, validation: float, test: float) -> dict[str, Works]:
    """Assign complete works to the splits by a hash of the names of the works.

    If a work is added or removed, all other works stay in their splits.
    """
    parts: dict[str, Works] = {split: {} for split in SPLITS}
    for name, text in works.items():
        draw = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4]) / 2**32
        split = "test" if draw < test else "validation" if draw < test + validation else "train"
        parts[split][name] = text
    return parts


def split_by_position(works: Works, validation: float, test: float) -> dict[str, Works]:
    """Take the test text from the end of each work, and the validation text from the part before the test text."""
    parts: dict[str, Works] = {split: {} for split in SPLITS}
    for name, text in works.items():
        first, second = int(len(text) * (1 - test - validation)), int(len(text) * (1 - test))
        for split, part in zip(SPLITS, (slice(first), slice(first, second), slice(second, None)), strict=True):
            parts[split][name] = text[part]
    return parts


def read_works(raw: Path) -> Works:
    """Read the works in the files of a folder.

    A `.txt` file contains one work. A `.jsonl` file contains one work per line, in the format `{"name": ..., "text":
    ...}`. Raises UserError if there are no works, or if a file is empty or not UTF-8.
    """
    works: Works = {}
    for path in find_files(raw, "*.txt"):
        works[path.name] = read_text(path)
    for path in find_files(raw, "*.jsonl"):
        records = map(json.loads, read_text(path).removesuffix("\n").split("\n"))
        works |= {record["name"]: record["text"] for record in records}
    if not works:
        raise UserError(f"{raw} contains no text (*.txt or *.jsonl). Run `dvc repro download@{raw.name}`.")
    return works


def find_files(folder: Path, pattern: str) -> list[Path]:
    """Return the files of a folder that match a pattern, without the files of an operating system."""
    return sorted(path for path in folder.glob(pattern) if not is_system_file(path.relative_to(folder)))


def read_text(path: Path) -> str:
    """Read a UTF-8 file. Raises UserError if the file is empty or not UTF-8."""
    text = decode_text(path.read_bytes(), str(path))
    if not text.strip():
        raise UserError(f"{path} is empty. Delete the file, or download it again.")
    return text
