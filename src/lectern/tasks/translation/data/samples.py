"""Numbers in English words and in French words, by `num2words`: unlimited, exact, and French is irregular."""

import math
import random
from importlib.metadata import version
from pathlib import Path

LARGEST = 1_000_000
LANGUAGES = ("en", "fr")
HELD_OUT = {"validation": 0.05, "test": 0.05}  # shares


def make(out: Path, count: int, seed: int) -> dict[str, str]:
    """Write `<split>.tsv`, a number a line, English and French parted by a tab; returns what wrote them.

    No number is in two splits.
    """
    numbers = draw(count, random.Random(seed))
    start = 0
    for split, share in HELD_OUT.items():
        end = start + round(share * count)
        write(out / f"{split}.tsv", numbers[start:end])
        start = end
    write(out / "train.tsv", numbers[start:])
    return {"num2words": version("num2words")}


def draw(count: int, generator: random.Random) -> list[int]:
    """Different numbers below a million in random order, as many of one length as of another while they last."""
    drawn: dict[int, None] = {}
    while len(drawn) < count:
        drawn[math.floor(LARGEST ** generator.random())] = None
    return generator.sample(list(drawn), count)


def write(path: Path, numbers: list[int]) -> None:
    from num2words import num2words

    lines = ("\t".join(num2words(number, lang=language) for language in LANGUAGES) for number in numbers)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
