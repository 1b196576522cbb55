"""Split works into training, validation and test text."""

import hashlib
from collections.abc import Callable

from lectern.artifacts.split_sizes import count_items
from lectern.config import Amount
from lectern.errors import UserError

SPLITS = ("train", "validation", "test")

Works = dict[str, str]  # maps the name of each work to its text, in reading order


def split_works(
    works: Works, split_by: str, validation: list[str] | Amount, test: list[str] | Amount
) -> dict[str, Works]:
    """Return a dict that maps each split to its works.

    Raises UserError if the arguments do not fit `split_by`, if a split would be empty, or if two works with equal text
    would be in different splits.
    """
    check_arguments(split_by, validation, test)
    parts = SPLIT_FUNCTIONS[split_by](works, validation, test)
    for name in SPLITS:
        if not any(parts[name].values()):
            raise UserError(
                f"The {name} text is empty after splitting {len(works)} works by {split_by}. Change the split."
            )
    return parts


def check_arguments(split_by: str, validation: list[str] | Amount, test: list[str] | Amount) -> None:
    """Raise UserError if `validation` and `test` do not fit `split_by`."""
    amounts = [value for value in (validation, test) if not isinstance(value, list)]
    if len(amounts) != (0 if split_by == "name" else 2):
        raise UserError(
            f"preprocess.validation is {validation} and preprocess.test is {test}; expected two lists of work names "
            "with split_by=name, and two numbers or shares with split_by=position or split_by=hash."
        )
    shares = [amount for amount in amounts if isinstance(amount, float)]
    if len(shares) == 2 and sum(shares) >= 1:
        raise UserError(
            f"preprocess.validation is {validation} and preprocess.test is {test}; expected shares with a sum below 1."
        )


def split_by_name(works: Works, validation: list[str], test: list[str]) -> dict[str, Works]:
    """Assign complete works to the splits by the names of the works."""
    missing = [name for name in (*validation, *test) if name not in works]
    if missing:
        raise UserError(f"There is no work named {', '.join(missing)}. Available works: {', '.join(works)}.")
    assigned = {**dict.fromkeys(validation, "validation"), **dict.fromkeys(test, "test")}
    parts = {split: {name: works[name] for name in works if assigned.get(name, "train") == split} for split in SPLITS}
    check_equal_works(parts)
    return parts


def check_equal_works(parts: dict[str, Works]) -> None:
    """Raise UserError if two works with equal text are in different splits."""
    known: dict[str, tuple[str, str]] = {}
    for split, works in parts.items():
        for name, text in works.items():
            other, other_split = known.setdefault(text, (name, split))
            if other_split != split:
                raise UserError(
                    f"The works {other} ({other_split}) and {name} ({split}) have equal text. Put both works into the "
                    "same split, or delete one of them."
                )


def split_by_hash(works: Works, validation: Amount, test: Amount) -> dict[str, Works]:
    """Assign complete works to the splits by a hash of the names of the works. Works with equal text stay together.

    If `validation` and `test` are shares, adding or removing a work does not move any other work to another split.
    """
    first_names: dict[str, str] = {}
    draws = {name: hash_to_fraction(first_names.setdefault(text, name)) for name, text in works.items()}
    test_end = find_threshold(list(draws.values()), test, "preprocess.test")
    rest = [draw for draw in draws.values() if draw >= test_end]
    if isinstance(validation, float):
        validation_end = test_end + validation
    else:
        validation_end = find_threshold(rest, validation, "preprocess.validation")
    parts: dict[str, Works] = {split: {} for split in SPLITS}
    for name, draw in draws.items():
        split = "test" if draw < test_end else "validation" if draw < validation_end else "train"
        parts[split][name] = works[name]
    return parts


def hash_to_fraction(name: str) -> float:
    """Return a number from 0 to 1 that depends only on the name."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4]) / 2**32


def find_threshold(draws: list[float], amount: Amount, where: str) -> float:
    """Return the limit below which a draw selects its work. If `amount` is a share, the limit is this share."""
    if isinstance(amount, float):
        return amount
    return sorted(draws)[count_items(amount, len(draws), where, "works")]


def split_by_position(works: Works, validation: Amount, test: Amount) -> dict[str, Works]:
    """Take the test text from the end of each work, and the validation text from the part before the test text."""
    parts: dict[str, Works] = {split: {} for split in SPLITS}
    for name, text in works.items():
        first, second = find_positions(name, len(text), validation, test)
        for split, part in zip(SPLITS, (slice(first), slice(first, second), slice(second, None)), strict=True):
            parts[split][name] = text[part]
    return parts


def find_positions(name: str, length: int, validation: Amount, test: Amount) -> tuple[int, int]:
    """Return the positions in a work at which the validation text and the test text start."""
    if isinstance(validation, float) and isinstance(test, float):
        return int(length * (1 - test - validation)), int(length * (1 - test))
    second = length - count_items(test, length, f"{name}: preprocess.test", "characters")
    return second - count_items(validation, second, f"{name}: preprocess.validation", "characters"), second


SPLIT_FUNCTIONS: dict[str, Callable[..., dict[str, Works]]] = {
    "name": split_by_name,
    "position": split_by_position,
    "hash": split_by_hash,
}
