"""Read `module.json`, the metadata of a model folder, without importing PyTorch."""

import json
from pathlib import Path
from typing import Any

from lectern.artifacts.pipeline_variables import train_stage
from lectern.errors import UserError

FORMAT = 2
EXTENSIONS = "extensions"  # optional key with the records of the classes from other packages
INIT_FROM = "init_from"  # optional key with the record of the model from whose weights the training started
KEYS = {"format", "task", "class", "hyperparameters"}


def read_metadata(folder: Path) -> dict[str, Any]:
    """Return the content of `module.json` in a model folder.

    Raises UserError if the file is missing or damaged, or if a different version of Lectern wrote the file.
    """
    path = folder / "module.json"
    train_again = f"Run `dvc repro {train_stage(folder.name)}`."
    if not path.is_file():
        raise UserError(f"{path} does not exist, so {folder} is not a model folder. {train_again}")
    try:
        metadata = dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise UserError(f"{path} is damaged ({error}). {train_again}") from error
    if metadata.get("format") != FORMAT:
        raise UserError(
            f"{path} has format {metadata.get('format')!r}, but this version of Lectern reads format {FORMAT}. "
            f"Use the version of Lectern that wrote the file. {train_again}"
        )
    if missing := KEYS - metadata.keys():
        raise UserError(f"{path} is damaged: missing {', '.join(sorted(missing))}. {train_again}")
    for key, kind in (("task", str), ("class", str), ("hyperparameters", dict)):
        if not isinstance(metadata[key], kind):
            raise UserError(
                f"{path} is damaged: {key} is {str(metadata[key])[:80]!r}; expected a value of the type "
                f"{kind.__name__}. {train_again}"
            )
    extensions = metadata.get(EXTENSIONS, [])
    if not isinstance(extensions, list) or not all(is_record(each) for each in extensions):
        raise UserError(f"{path} is damaged: {EXTENSIONS} is {str(extensions)[:80]!r}. {train_again}")
    return metadata


def is_record(record: Any) -> bool:
    """Return whether a value describes a class of another package, as `extension_files.Record.to_dict` does."""
    keys = ("class", "package", "version", "digest")
    return isinstance(record, dict) and all(isinstance(record.get(key), str | None) for key in keys)
