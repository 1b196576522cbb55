"""Read and write `facts.json`, the description of a preprocessed dataset."""

from pathlib import Path
from typing import Any

from lectern.artifacts.digests import file_digest
from lectern.artifacts.mapping_file import read_mapping
from lectern.atomic import write_json
from lectern.errors import UserError

Facts = dict[str, Any]


def write_facts(out: Path, facts: Facts) -> None:
    """Write `facts.json` with the digest of every file in `out`.

    The preprocess stage writes `facts.json` last, so a dataset with a `facts.json` is complete.
    """
    files = {path.name: file_digest(path) for path in sorted(out.iterdir()) if path.name != "facts.json"}
    write_json(out / "facts.json", {**facts, "files": files})


def read_facts(processed: Path) -> Facts:
    """Return the facts of a preprocessed dataset. Raises UserError if `facts.json` is missing or damaged."""
    path = processed / "facts.json"
    if not path.is_file():
        raise UserError(
            f"{path} does not exist, so this dataset has not been preprocessed. "
            f"Run `dvc repro preprocess@{processed.name}`."
        )
    return read_mapping(path, f"Run `dvc repro --force preprocess@{processed.name}`.")
