"""Read the server settings from `conf/serve.yaml` and the environment."""

import os
from dataclasses import dataclass, field
from typing import Annotated, Any

from annotated_types import Ge, Le

from lectern.artifacts.mapping_file import read_mapping
from lectern.artifacts.paths import SERVER_CONFIG
from lectern.config import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, call


@dataclass(frozen=True)
class Settings:
    """The values in `conf/serve.yaml`, and the API key that clients must send.

    If `api_key` is None, requests of all clients are accepted.
    """

    host: str
    port: Annotated[int, Ge(0), Le(65535)]
    allowed_hosts: list[str]
    mlflow_ui: str
    alias_poll_seconds: PositiveFloat
    workers: PositiveInt
    torch_threads: PositiveInt
    max_requests_per_model: NonNegativeInt
    max_pages: NonNegativeInt
    prediction_timeout_seconds: NonNegativeFloat
    header_timeout_seconds: NonNegativeFloat
    max_body_megabytes: NonNegativeFloat
    body_timeout_seconds: NonNegativeFloat
    max_upload_megabytes: NonNegativeFloat
    upload_timeout_seconds: NonNegativeFloat
    max_characters: NonNegativeInt
    max_megapixels: NonNegativeFloat
    max_frames: NonNegativeInt
    api_key: str | None = field(default=None, repr=False)


def read_settings(**overrides: Any) -> Settings:
    """Return the settings in `conf/serve.yaml`. An override that is not None replaces the value in the file.

    Raises UserError if a key is missing or unknown, or if a value has the wrong type or is out of range.
    """
    section = read_mapping(SERVER_CONFIG) if SERVER_CONFIG.is_file() else {}
    section |= {key: value for key, value in overrides.items() if value is not None}
    api_key = os.environ.get("LECTERN_API_KEY", "").strip() or None
    settings: Settings = call(Settings, section, str(SERVER_CONFIG), api_key=api_key)
    return settings
