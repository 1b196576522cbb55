"""Generate a sample corpus of numbers in English words and in French words.

The library `num2words` generates the words, so every translation is exact. French numerals are irregular.
"""

import math
import random
from importlib.metadata import version
from pathlib import Path

UPPER_BOUND = 1_000_000
LANGUAGES = ("en", "fr")
HELD_OUT_SHARES = {"validation": 0.05, "test": 0.05}


def make(out: Path, count: int, seed: int) -> dict[str, str]:
    """Write `<split>.tsv` with one number per line, in English and French words.

    No number is in two splits. Return the version of the library num2words.
    """
    numbers = draw_numbers(count, random.Random(seed))
    start = 0
    for split, share in HELD_OUT_SHARES.items():
        end = start + round(share * count)
        write_numbers(out / f"{split}.tsv", numbers[start:end])
        start = end
    write_numbers(out / "train.tsv", numbers[start:])
    return {"num2words": version("num2words")}


def draw_numbers(count: int, generator: random.Random) -> list[int]:
    """Return `count` different random numbers below a million.

    The logarithm of a drawn number is uniformly distributed, so numbers of each length are equally frequent, until all
    numbers with few digits have been drawn.
    """
    drawn: dict[int, None] = {}
    while len(drawn) < count:
        drawn[math.floor(UPPER_BOUND ** generator.random())] = None
    return generator.sample(list(drawn), count)


def write_numbers(path: Path, numbers: list[int]) -> None:
    from num2words import num2words

    lines = ("\t".join(num2words(number, lang=language) for language in LANGUAGES) for number in numbers)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
