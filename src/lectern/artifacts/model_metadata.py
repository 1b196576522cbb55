"""A model folder's `module.json` to what the model is, without loading it."""

import json
from pathlib import Path

from lectern.errors import UserError

FORMAT = 2


def read_metadata(folder: Path) -> dict:
    """`module.json`, once it is sure that this version of Lectern can read it."""
    path = folder / "module.json"
    if not path.is_file():
        raise UserError(f"{path} is not there, so {folder} is no model folder. Train it: dvc repro train@{folder.name}")
    try:
        described = dict(json.loads(path.read_text()))
    except (ValueError, TypeError) as error:
        raise UserError(f"{path} is damaged ({error}). Make it again: dvc repro train@{folder.name}") from error
    if described.get("format") != FORMAT:
        raise UserError(
            f"{path} is of format {described.get('format')!r}; this Lectern reads format {FORMAT}. "
            "Use the version of Lectern that wrote it, or train again."
        )
    missing = {"task", "class", "hyperparameters"} - described.keys()
    if missing:
        raise UserError(f"{path} is damaged: it lacks {', '.join(sorted(missing))}. Train again.")
    return described
