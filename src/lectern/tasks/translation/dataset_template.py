"""Fill in the config of a new dataset of sentence pairs."""

import re
import zlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from lectern.config import Score
from lectern.errors import UserError
from lectern.new_dataset.template import MISSING, DatasetTemplate, FoundFiles, Setting, single_name

LANGUAGE = re.compile(r"(?<=[._-])[a-z]{2,3}(?=$|[._-])")
PLACEHOLDER = "{language}"
ROLES = {"validation": ("val", "dev"), "test": ("test",), "train": ("train",)}  # in the order of the search
SHARE = 0.1  # share of the pairs that is held out if there is no file for a split
UNITS = {"chrf": "chrF, 0 to 100", "exact_match": "share of sentences"}
SETTINGS = [
    Setting("vocabulary_size", 10000, "number of tokens; both languages share the vocabulary"),
    Setting("max_length", 128, "maximum number of tokens per sentence"),
    Setting("score", "bleu", "bleu, chrf or exact_match"),
    Setting("near_duplicate_min_words", 8, "a sentence with fewer words is a duplicate only of an equal sentence"),
]


def fill_template(files: FoundFiles) -> DatasetTemplate:
    """Return the config for pairs of parallel files such as `train.de` and `train.en`, or for tab-separated files."""
    parallel = find_parallel(files.names)
    languages = sorted(set.union(*parallel.values())) if parallel else []
    source, target = languages if len(languages) == 2 else (MISSING, MISSING)
    comment = f"one of: {', '.join(languages)}" if languages else "code of the language, such as en"
    names = list(parallel) or [name for name in files.names if count_columns(files, name) >= 2]
    if not names:
        raise UserError(
            "No file has tab-separated columns, and no two files have names that differ only in the language, such as "
            f"train.de and train.en. Found: {', '.join(files.names[:5])}."
        )
    settings = [Setting("source", source, comment), Setting("target", target, comment), *split_settings(files, names)]
    settings += [] if parallel else column_settings(files, names)
    return DatasetTemplate([*settings, *SETTINGS], describe_score, "seq2seq_attention")


def describe_score(preprocess: Mapping[str, Any]) -> Score:
    """Return the score that `preprocess.score` selects. The unit of BLEU names the tokenizer of the target language."""
    name = preprocess["score"]
    unit = UNITS[name] if name in UNITS else describe_bleu(preprocess["target"])
    return Score(name=name, unit=unit, higher_is_better=True)


def describe_bleu(target: str) -> str:
    """Return the unit of BLEU, or MISSING if the target language is not known yet."""
    from lectern.tasks.translation.data.format.bleu_tokenizer import bleu_tokenizer  # slow import

    if target == MISSING:
        return MISSING
    return f"lower-cased BLEU with sacreBLEU's tokenizer {bleu_tokenizer(target)}, 0 to 100"


def find_parallel(names: Iterable[str]) -> dict[str, set[str]]:
    """Return a dict that maps each file name with `{language}` to its languages, if there are at least two."""
    found = defaultdict(set)
    for name in names:
        for match in LANGUAGE.finditer(name):
            found[name[: match.start()] + PLACEHOLDER + name[match.end() :]].add(match[0])
    return {name: languages for name, languages in found.items() if len(languages) >= 2}


def split_settings(files: FoundFiles, names: list[str]) -> list[Setting]:
    """Return the file of each split. A file belongs to the split whose name occurs in the name of the file."""
    paths = [f"{files.archive}/{name}" if files.archive else name for name in names]
    splits: dict[str, list[str]] = {role: [] for role in ROLES}
    for path in paths:
        name = path.rpartition("/")[2].lower()
        role = next((role for role, words in ROLES.items() if any(word in name for word in words)), "train")
        splits[role].append(path)
    settings = [
        Setting("train", single_name(splits["train"]), f"name of a file; available: {', '.join(paths[:20])}"),
        Setting(
            "validation",
            single_name(splits["validation"]) if splits["validation"] else SHARE,
            "a file, or a share of the training pairs",
        ),
        Setting("test", splits["test"][0] if splits["test"] else SHARE, "a file, or a share of the training pairs"),
    ]
    return settings + ([Setting("other_tests", splits["test"][1:])] if splits["test"][1:] else [])


def column_settings(files: FoundFiles, names: list[str]) -> list[Setting]:
    """Return the columns of the sentences. Columns that contain only numbers, such as sentence ids, are skipped."""
    rows = read_rows(files, names[0])
    width = min(map(len, rows))
    texts = [column for column in range(width) if not all(row[column].strip().isdigit() for row in rows)]
    columns = texts[:2] if len(texts) >= 2 else MISSING
    return [
        Setting("columns", columns, "columns of the source and the target, counted from 0"),
        Setting("key_column", texts[0] if texts else None, "pairs with equal values in this column stay in one split"),
    ]


def count_columns(files: FoundFiles, name: str) -> int:
    return min(map(len, read_rows(files, name)), default=0)


def read_rows(files: FoundFiles, name: str) -> list[list[str]]:
    """Return the rows at the start of a tab-separated file, without the last row, which can be incomplete."""
    start = files.read_start(name)
    if name.endswith(".gz"):
        start = decompress_start(start)
    lines = start.decode(errors="replace").split("\n")
    return [line.split("\t") for line in (lines[:-1] or lines) if line]


def decompress_start(start: bytes) -> bytes:
    """Return the decompressed start of a gzip file, or an empty text if the file is no gzip file."""
    try:
        return zlib.decompressobj(wbits=zlib.MAX_WBITS | 16).decompress(start)
    except zlib.error:
        return b""
