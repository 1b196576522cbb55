"""Fill in the config of a new dataset of texts."""

from collections.abc import Mapping
from typing import Any

from lectern.config import Score
from lectern.errors import UserError
from lectern.new_dataset.template import DatasetTemplate, FoundFiles, Setting

MIN_WORKS = 5  # minimum number of works of which complete works are held out
SHARE = 0.1  # share of the texts in the validation split, and in the test split
ALPHABET = Setting(
    "min_count", 5, "The alphabet contains the characters that occur at least `min_count` times in the training text."
)


def fill_template(files: FoundFiles) -> DatasetTemplate:
    """Return the config for text files.

    If there are fewer than MIN_WORKS text files and no `.jsonl` file, the end of each file is held out. Otherwise
    complete texts are held out.
    """
    files.require_no_archive()
    texts, tables = files.select(".txt"), files.select(".jsonl")
    if not texts and not tables:
        raise UserError(
            f"No file has a name that ends in .txt or .jsonl; found {', '.join(files.names[:5])}. Rename the "
            "files with texts."
        )
    return DatasetTemplate([*split_settings(len(texts), bool(tables)), ALPHABET], describe_score, "char_gru_small")


def describe_score(_: Mapping[str, Any]) -> Score:
    return Score(name="nats_per_character", unit="nats per character", higher_is_better=False)


def split_settings(texts: int, has_tables: bool) -> list[Setting]:
    if not has_tables and texts < MIN_WORKS:
        by_position = Setting("split_by", "position", "`validation` and `test` are shares of each text, from its end.")
        return [by_position, Setting("validation", SHARE), Setting("test", SHARE)]
    amount = SHARE if has_tables else max(1, round(SHARE * texts))
    by_hash = Setting("split_by", "hash", "`validation` and `test` are numbers or shares of complete texts.")
    return [by_hash, Setting("validation", amount), Setting("test", amount)]
