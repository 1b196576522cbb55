"""`conf/serve.yaml` and the environment to the settings of a server."""

import os
from dataclasses import dataclass, field
from typing import Any

import yaml

from lectern.artifacts.paths import SERVER_CONFIG
from lectern.config import check_keys
from lectern.errors import UserError

PATH = SERVER_CONFIG


@dataclass(frozen=True)
class Settings:
    """The keys of `conf/serve.yaml`, and the key that every call must show (None: nobody is asked)."""

    host: str
    port: int
    mlflow_ui: str
    follow_seconds: float
    workers: int
    threads: int
    waiting: int
    answer_seconds: float
    body_megabytes: float
    body_seconds: float
    upload_megabytes: float
    upload_seconds: float
    characters: int
    megapixels: float
    frames: int
    api_key: str | None = field(default=None, repr=False)


def read_settings(**changed) -> Settings:
    """The settings, where `changed` that is not None takes the place of a key of the file.

    Raises UserError for a key that is missing or unknown, and for a value that is no number where one belongs.
    """
    section = yaml.safe_load(PATH.read_text()) if PATH.is_file() else {}
    section |= {key: value for key, value in changed.items() if value is not None}
    check_keys(Settings, section, str(PATH), more={"api_key": None})
    values = {name: check_value(name, value) for name, value in section.items()}
    return Settings(**values, api_key=os.environ.get("LECTERN_API_KEY") or None)


def check_value(name: str, value: Any) -> Any:
    """A value of the type that its setting has."""
    kind = Settings.__annotations__[name]
    if kind is str:
        return str(value)
    if not isinstance(value, int | kind) or value < 0:
        raise UserError(f"{PATH}: {name} is {value!r}; it must be a number of at least 0.")
    return kind(value)
