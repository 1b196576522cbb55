"""Split raw works into training, validation and test text, build the alphabet, and encode texts as character ids."""

import json
from itertools import accumulate
from pathlib import Path
from typing import Literal

import numpy as np

from lectern.artifacts.dataset import write_facts
from lectern.artifacts.digests import content_digest
from lectern.atomic import write_json
from lectern.config import Amount, PositiveInt
from lectern.errors import UserError
from lectern.tasks.language_model.data.format.alphabet import NormalForm, encode, normalize
from lectern.tasks.language_model.data.splits import Works, split_works
from lectern.user_files.plain_text import decode_text
from lectern.user_files.system_files import is_system_file


def preprocess(
    raw: Path,
    out: Path,
    split_by: Literal["name", "position", "hash"],
    validation: list[str] | Amount,
    test: list[str] | Amount,
    min_count: PositiveInt = 1,
    normal_form: NormalForm = "NFC",
) -> None:
    """Write the ids of the training and validation text as `.npy` files, the test text as raw text, and `facts.json`.

    `split_by` selects how the works are split:

    - With `name`, `validation` and `test` are lists of work names.
    - With `position`, `validation` and `test` are taken from the end of each work. They are shares of the work, or
      numbers of characters.
    - With `hash`, `validation` and `test` are complete works, selected by a hash of their names. They are shares or
      numbers of works.

    The alphabet contains the characters that occur at least `min_count` times in the training text. If `min_count` is
    above 1, rare characters of the training text become unknown characters, so that the network is trained with unknown
    characters. If the test text has several works, `test_works.json` contains the line in which each work starts.
    Raises UserError if a split would be empty, or if two works with equal text would be in different splits.
    """
    works = split_works(read_works(raw), split_by, validation, test)
    texts = {split: "".join(parts.values()) for split, parts in works.items()}
    alphabet = build_alphabet(normalize(texts["train"], normal_form), min_count)
    if not alphabet:
        raise UserError(
            f"preprocess.min_count is {min_count:,}, but no character occurs {min_count:,} times. Lower this number."
        )
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
    """Return a dict that maps the name of each work to the line of the joined text in which the work starts."""
    newlines = [normalize(text, normal_form).count("\n") for text in works.values()]
    return dict(zip(works, accumulate(newlines, initial=0), strict=False))


def read_works(raw: Path) -> Works:
    """Read the works in the files of a folder.

    A `.txt` file contains one work. A `.jsonl` file contains one work per line, in the format `{"name": ..., "text":
    ...}`. Raises UserError if there are no works, or if a file is empty or not UTF-8.
    """
    works: Works = {}
    for path in find_files(raw, "*.txt"):
        works[path.relative_to(raw).as_posix()] = read_text(path)
    for path in find_files(raw, "*.jsonl"):
        records = map(json.loads, read_text(path).removesuffix("\n").split("\n"))
        works |= {record["name"]: record["text"] for record in records}
    if not works:
        raise UserError(f"{raw} contains no text (*.txt or *.jsonl). Run `dvc repro download@{raw.name}`.")
    return works


def find_files(folder: Path, pattern: str) -> list[Path]:
    """Return the files of a folder and its subfolders that match a pattern, without files of an operating system."""
    return sorted(path for path in folder.rglob(pattern) if not is_system_file(path.relative_to(folder)))


def read_text(path: Path) -> str:
    """Read a UTF-8 file. Raises UserError if the file is empty or not UTF-8."""
    text = decode_text(path.read_bytes(), str(path))
    if not text.strip():
        raise UserError(f"{path} is empty. Delete the file, or download it again.")
    return text
