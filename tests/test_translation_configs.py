"""Test that similar config files of the translation task differ only in the keys that are listed for them.

The files repeat all values, because DVC tracks only values that are written in the file itself.
"""

from pathlib import Path
from typing import Any

import pytest
import yaml

CONF = Path(__file__).parents[1] / "conf"
DIFFERENCES = [
    ("model/seq2seq", "model/seq2seq_attention", {"module.network.attention"}),
    (
        "model/translation_transformer",
        "model/translation_transformer_long",
        {"module.network.dropout", "module.warm_up", "fit.laptop.epochs", "fit.full.epochs"},
    ),
    ("dataset/multi30k_en_de", "dataset/multi30k_de_en", {"preprocess.source", "preprocess.target", "guards"}),
    ("dataset/multi30k_en_de", "dataset/multi30k_en_fr", {"preprocess.target", "guards"}),
]


def flatten(section: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the values by dotted keys. The section `guards` counts as one value."""
    values: dict[str, Any] = {}
    for key, value in section.items():
        if isinstance(value, dict) and key != "guards":
            values |= flatten(value, f"{prefix}{key}.")
        else:
            values[f"{prefix}{key}"] = value
    return values


@pytest.mark.parametrize(("first", "second", "keys"), DIFFERENCES)
def test_sibling_configs_differ_only_in_the_listed_keys(first, second, keys):
    values, others = (flatten(yaml.safe_load((CONF / f"{name}.yaml").read_text())) for name in (first, second))
    different = {key for key in values.keys() | others.keys() if values.get(key, ...) != others.get(key, ...)}
    assert different == {"name", *keys}
