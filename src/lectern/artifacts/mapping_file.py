"""Read YAML and JSON files. If a file is damaged, the error message says how to repair the file."""

import json
import re
from pathlib import Path
from typing import Any

import yaml

from lectern.errors import UserError

CONFLICT = re.compile(r"^(<<<<<<<|=======|>>>>>>>)(?: .*)?$", re.MULTILINE)
RESTORE = "Correct the file, or restore its last committed content with `git checkout HEAD -- {path}`."


class DuplicateKeys(yaml.SafeLoader):
    """A YAML loader that rejects a mapping with two equal keys, as DVC and Hydra do.

    A git merge can produce a mapping with two equal keys.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys: set[str] = set()
        for key, _ in node.value:
            if str(key.value) in keys:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} occurs twice in one mapping", key.start_mark
                )
            keys.add(str(key.value))
        return super().construct_mapping(node, deep)


def read_mapping(path: Path, remedy: str = RESTORE) -> dict[str, Any]:
    """Return the content of a YAML or JSON file whose top level is a mapping.

    Raises UserError with the file, the line and `remedy` if the file is missing, empty or damaged.
    """
    remedy = remedy.format(path=path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise UserError(f"{path} does not exist. {remedy}") from error
    except (UnicodeDecodeError, IsADirectoryError) as error:
        raise UserError(f"{path} is not a text file ({error}). {remedy}") from error
    content = parse(path, text, remedy)
    if not isinstance(content, dict):
        found = "an empty file" if content is None else repr(content)
        raise UserError(f"{path} is damaged: expected a mapping of keys to values, found {found:.100}. {remedy}")
    return content


def parse(path: Path, text: str, remedy: str) -> Any:
    """Return the parsed content of a YAML or JSON text. Raises UserError if the text is damaged."""
    if marker := CONFLICT.search(text):
        line = text.count("\n", 0, marker.start()) + 1
        raise UserError(f"{path}, line {line}: found a conflict marker of git ({marker[0]}). {remedy}")
    if not text.strip():
        return None
    try:
        return json.loads(text) if path.suffix == ".json" else yaml.load(text, DuplicateKeys)
    except json.JSONDecodeError as error:
        raise UserError(f"{path}, line {error.lineno}: {error.msg}. {remedy}") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise UserError(f"{path}, line {line}: {error.problem}. {remedy}") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise UserError(f"{path} is damaged: {error}. {remedy}") from error
