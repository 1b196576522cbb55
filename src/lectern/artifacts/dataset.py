"""The folder of a data set made ready: packed splits, and `facts.json`, written last."""

import json
from pathlib import Path
from typing import Any

from lectern.artifacts.digests import file_digest
from lectern.atomic import write_json
from lectern.errors import UserError

Facts = dict[str, Any]


def write_facts(out: Path, facts: Facts) -> None:
    """Write `facts.json` with the digest of every packed file; finding it means that preprocessing finished."""
    files = {path.name: file_digest(path) for path in sorted(out.iterdir()) if path.name != "facts.json"}
    write_json(out / "facts.json", {**facts, "files": files})


def read_facts(processed: Path) -> Facts:
    """The facts of a processed data set. Raises UserError where preprocessing has not finished."""
    path = processed / "facts.json"
    if not path.is_file():
        raise UserError(
            f"{path} is not there, so this data set has not been preprocessed. "
            f"Run: dvc repro preprocess@{processed.name}"
        )
    return json.loads(path.read_text())
