"""The best trial to a changed line of the model's file, for the user to look at and commit."""

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from lectern.artifacts.paths import group_config
from lectern.atomic import atomic_file


def write_back(model: str, values: dict[str, Any]) -> Path:
    """Set the values in `conf/model/<model>.yaml`; everything else of the file, comments too, stays as it is."""
    path = group_config("model", model)
    yaml = YAML()
    yaml.preserve_quotes, yaml.width = True, 4096
    content = yaml.load(path.read_text())
    for key, value in values.items():
        *parts, last = key.split(".")
        inner = content
        for part in parts:
            inner = inner[part]
        inner[last] = value
    with atomic_file(path) as part:
        yaml.dump(content, part)
    return path
