"""Define the inference API of a registered language model."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lectern.tasks.language_model.data.format.alphabet import decode, encode, find_unknown_characters

if TYPE_CHECKING:  # importing MLflow and torch is slow
    from mlflow.models import ModelSignature

    from lectern.tasks.language_model.model.module import CharacterModel

PARAMS = {"length": 400, "temperature": 1.0, "top_k": 0, "top_p": 1.0, "seed": 0}


def predict(module: "CharacterModel", inputs: pd.DataFrame, **params: Any) -> pd.DataFrame:
    """Generate the continuation of each text in the column `prompt`, and return the continuations in the column `text`.

    Each continuation depends only on its prompt and the params. The network reads characters that are not in the
    alphabet as unknown characters. A warning lists these characters. Raises UserError if a param is out of range.
    """
    for prompt in inputs["prompt"]:
        warn_of_unknown_characters(prompt, module.facts)
    texts = [module.predict(encode(prompt, module.facts), **{**PARAMS, **params}) for prompt in inputs["prompt"]]
    return pd.DataFrame({"text": texts})


def warn_of_unknown_characters(prompt: str, facts: dict[str, Any]) -> None:
    """Issue a warning that lists the characters of a prompt that are not in the alphabet."""
    unknown = find_unknown_characters(prompt, facts)
    if unknown:
        warnings.warn(
            f"these characters are not in the alphabet and are read as unknown: {' '.join(map(repr, unknown))}",
            stacklevel=3,
        )


def signature() -> "ModelSignature":
    """Return the MLflow signature, which defines the types of inputs, outputs and params."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema

    types = {int: DataType.long, float: DataType.double}
    params = [ParamSpec(name, types[type(value)], value) for name, value in PARAMS.items()]
    return ModelSignature(
        inputs=Schema([ColSpec(DataType.string, "prompt")]),
        outputs=Schema([ColSpec(DataType.string, "text")]),
        params=ParamSchema(params),
    )


def param_limits() -> dict[str, Any]:
    """Return the limits of the params as pydantic fields."""
    from pydantic import Field

    from lectern.tasks.language_model.model.generation import MAX_LENGTH

    return {
        "length": Field(ge=1, le=MAX_LENGTH, description="number of characters to generate"),
        "temperature": Field(
            ge=0,
            le=10,
            allow_inf_nan=False,
            description="with 0, the most likely character is selected; "
            "with 1, characters are drawn from the predicted probabilities",
        ),
        "top_k": Field(
            ge=0,
            le=10_000,
            description="number of most likely characters from which a character is drawn; 0 means all characters",
        ),
        "top_p": Field(
            gt=0,
            le=1,
            allow_inf_nan=False,
            description="total probability of the most likely characters from which a character is drawn",
        ),
        "seed": Field(ge=0, le=2**63 - 1, description="random seed; equal seeds give equal texts"),
    }


def example(processed: Path) -> pd.DataFrame:
    """Return an example prompt, which is the first 60 characters of the validation text."""
    from lectern.artifacts.dataset import read_facts

    prompt = decode(np.load(processed / "validation.npy")[:60], read_facts(processed))
    return pd.DataFrame({"prompt": [prompt]})
