"""What a registered language model answers: the column `prompt` to the column `text`, what it writes after each."""

import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from lectern.tasks.language_model.data.format.alphabet import decode, prepare, unknown_characters

PARAMS = {"length": 400, "temperature": 1.0, "top_k": 0, "top_p": 1.0, "seed": 0}


def predict(module, inputs: pd.DataFrame, **params) -> pd.DataFrame:
    """A text a prompt, which depends on that prompt and the params alone. Characters it does not know are replaced,
    with a warning. Raises UserError for params out of range."""
    for prompt in inputs["prompt"]:
        warn_of_unknown(prompt, module.facts)
    texts = [module.predict(prepare(prompt, module.facts), **{**PARAMS, **params}) for prompt in inputs["prompt"]]
    return pd.DataFrame({"text": texts})


def warn_of_unknown(prompt: str, facts: dict) -> None:
    """Tell the caller which characters are read as one and the same unknown one."""
    strange = unknown_characters(prompt, facts)
    if strange:
        warnings.warn(f"not in the alphabet, read as unknown: {' '.join(map(repr, strange))}", stacklevel=3)


def signature():
    """The signature that MLflow checks requests against."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema

    kinds = {int: DataType.long, float: DataType.double}
    params = [ParamSpec(name, kinds[type(value)], value) for name, value in PARAMS.items()]
    return ModelSignature(
        inputs=Schema([ColSpec(DataType.string, "prompt")]),
        outputs=Schema([ColSpec(DataType.string, "text")]),
        params=ParamSchema(params),
    )


def example(processed: Path) -> pd.DataFrame:
    """A prompt from the validation text: what stands before the end of its first lines."""
    from lectern.artifacts.dataset import read_facts

    start = decode(np.load(processed / "validation.npy")[:60], read_facts(processed))
    return pd.DataFrame({"prompt": [start]})
