"""Check the syntax of a stage's config files before Hydra reads them.

Hydra would print a traceback for a damaged file.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

from omegaconf import OmegaConf

from lectern.artifacts.mapping_file import read_mapping
from lectern.artifacts.paths import CONF, group_config


def check_config_files(stage: str, overrides: Sequence[str]) -> None:
    """Raise UserError with the file, the line and what to do if a config file of the stage is damaged."""
    for path in composed_files(stage, overrides):
        if path.is_file():  # for a missing file, Hydra prints a good message, which lists the available files
            read_mapping(path)


def composed_files(stage: str, overrides: Sequence[str]) -> Iterator[Path]:
    """Yield the primary config file of a stage, and all config files that its defaults and the overrides select."""
    primary = CONF / f"{stage}.yaml"
    yield primary
    listed = read_mapping(primary).get("defaults", []) if primary.is_file() else []
    chosen: dict[str, str] = {}
    defaults = cast(list[Any], OmegaConf.to_container(OmegaConf.create(listed), resolve=True))
    for entry in defaults:
        if isinstance(entry, str):
            yield CONF / f"{entry}.yaml"
        else:
            chosen |= {str(group): str(name) for group, name in entry.items()}
    chosen |= dict(word.split("=", 1) for word in overrides if "=" in word)
    for group, names in chosen.items():
        for name in names.split(","):
            yield group_config(group, name)
