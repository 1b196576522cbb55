"""Check the config files that a stage is going to compose, because Hydra reports a damaged file with a traceback."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from omegaconf import OmegaConf

from lectern.artifacts.mapping_file import read_mapping
from lectern.artifacts.paths import CONF, group_config


def check_config_files(stage: str, overrides: Sequence[str]) -> None:
    """Read every file that the stage composes. Raises UserError with file, line and remedy if one is damaged."""
    for path in composed_files(stage, overrides):
        if path.is_file():  # Hydra reports a missing file with the available choices
            read_mapping(path)


def composed_files(stage: str, overrides: Sequence[str]) -> Iterator[Path]:
    """Yield the primary config of a stage, and the files that its defaults and the overrides choose."""
    primary = CONF / f"{stage}.yaml"
    yield primary
    listed = read_mapping(primary).get("defaults", []) if primary.is_file() else []
    chosen: dict[str, str] = {}
    defaults = OmegaConf.to_container(OmegaConf.create(listed), resolve=True)
    assert isinstance(defaults, list)
    for entry in defaults:
        if isinstance(entry, str):
            yield CONF / f"{entry}.yaml"
        else:
            chosen |= {str(group): str(name) for group, name in entry.items()}
    chosen |= dict(word.split("=", 1) for word in overrides if "=" in word)
    for group, names in chosen.items():
        for name in names.split(","):
            yield group_config(group, name)
