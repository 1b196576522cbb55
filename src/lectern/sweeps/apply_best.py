"""Write the hyperparameters of the best trial to the config file of the model."""

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from lectern.artifacts.paths import group_config
from lectern.atomic import atomic_file


def write_values(model: str, values: dict[str, Any]) -> Path:
    """Set the values of dotted keys, such as `module.learning_rate`, in `conf/model/<model>.yaml`.

    Comments and all other values in the file do not change.
    """
    path = group_config("model", model)
    yaml = YAML()
    yaml.preserve_quotes, yaml.width = True, 4096
    content = yaml.load(path.read_text())
    for key, value in values.items():
        *parents, last = key.split(".")
        section = content
        for parent in parents:
            section = section[parent]
        section[last] = to_yaml(value)
    with atomic_file(path) as part:
        yaml.dump(content, part)
    return path


def to_yaml(value: Any) -> Any:
    """Return a value that every YAML parser reads with the same type.

    ruamel.yaml would write 0.00001 as 1e-05, which PyYAML reads as text because the number has no decimal point.
    """
    text = repr(value)
    if isinstance(value, float) and "e" in text and "." not in text:
        return YAML().load(text.replace("e", ".0e"))
    return value
