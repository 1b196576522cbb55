"""Choose the MLflow parameters of a training from its config."""

from collections.abc import Mapping
from typing import Any

import yaml

MAX_LENGTH = 6000  # maximum number of characters of an MLflow parameter
CONFIG_FILE = "config.yaml"  # artifact with the complete config


def format_parameters(config: Mapping[str, Any]) -> dict[str, str]:
    """Return the values that a user compares between trainings, with short names such as `learning_rate`.

    The other values of the config are in the artifact `config.yaml`. Values that are missing in a restored config are
    left out.
    """
    model = config.get("model", {})
    fit = model.get("fit", {}).get(config.get("budget"), {})
    parameters = {
        **{key: config[key] for key in ("seed", "budget") if key in config},
        **{group: config[group]["name"] for group in ("dataset", "model") if "name" in config.get(group, {})},
        **flatten({**fit, **model.get("batches", {}), **model.get("module", {})}),
    }
    if model.get("init_from"):
        parameters |= flatten({"init_from": model["init_from"]})
    if "trainer" in config:
        parameters["trainer"] = ", ".join(f"{key}={value}" for key, value in config["trainer"].items())
    return {key: str(value)[:MAX_LENGTH] for key, value in parameters.items()}


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return a flat dict in which dots join the nested keys of a config, such as `network.dropout`."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat


def format_config(config: Mapping[str, Any]) -> str:
    """Return the complete config of a training as YAML."""
    return str(yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True))
