"""Check the config files that a command line selects, before and after Hydra reads them.

For some mistakes, Hydra would print a traceback, or read a different file than the user means.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf

from lectern.artifacts.mapping_file import read_mapping
from lectern.artifacts.paths import CONF, group_config
from lectern.errors import UserError

PLAIN_NAMES = re.compile(r"[\w.-]+(,[\w.-]+)*")


def check_config_files(stage: str, overrides: Sequence[str]) -> None:
    """Raise UserError with the file, the line and what to do if a config file of the stage is damaged."""
    for path in composed_files(stage, overrides):
        if path.is_file():  # for a missing file, Hydra prints a good message, which lists the available files
            read_mapping(path)


def quote_names(overrides: Sequence[str]) -> list[str]:
    """Put the names of config files in quotes, so that Hydra reads `dataset=2024` or `dataset=on` as a name.

    Raises UserError if a group has a list or a mapping instead of a name.
    """
    return [quote_name(override) for override in overrides]


def quote_name(override: str) -> str:
    group, separator, names = override.partition("=")
    if not separator or not group or not (CONF / group).is_dir():
        return override
    if names.startswith(("[", "{")):
        raise UserError(f"{override}: expected the name of one file in {CONF / group}, without .yaml.")
    if not PLAIN_NAMES.fullmatch(names):
        return override
    return f"{group}=" + ",".join(f"'{name}'" for name in names.split(","))


def check_names(config: Mapping[str, Any], selected: Mapping[str, str]) -> None:
    """Raise UserError if the key `name` of a config file differs from the name of the file.

    `selected` maps each config group to the name of the selected file. A copied file whose name was not changed would
    replace the outputs of the original file.
    """
    for group, name in selected.items():
        section = config.get(group)
        if isinstance(section, dict) and "name" in section and section["name"] != name:
            raise UserError(
                f"{group_config(group, name)}: name is {section['name']!r}; expected {name!r}, the name of the file."
            )


def check_complete(config: DictConfig, selected: Mapping[str, str]) -> None:
    """Raise UserError with the file and the keys if a config file still has the value ???, which marks a missing value.

    `selected` maps each config group to the name of the selected file.
    """
    missing = sorted(OmegaConf.missing_keys(config))
    for group, name in selected.items():
        keys = [key.removeprefix(f"{group}.") for key in missing if key.startswith(f"{group}.")]
        if keys:
            raise UserError(f"{group_config(group, name)}: replace ??? with a value for {', '.join(keys)}.")


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
