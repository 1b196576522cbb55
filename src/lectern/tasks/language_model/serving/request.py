"""Define the limits of requests to a language model, and stream generated texts."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pandas as pd
from pydantic import Field

from lectern.tasks.language_model.data.format.alphabet import encode
from lectern.tasks.language_model.model.generation import stream_characters
from lectern.tasks.language_model.serving.inference_api import PARAMS

if TYPE_CHECKING:
    from lectern.tasks.language_model.model.module import CharacterModel

MAX_ROWS = 4  # small, because the texts of a request are generated one after another
SUPPORTS_BATCHING = False  # requests can have different lengths and seeds
MAX_LENGTH = 5000  # maximum number of generated characters per text, which takes some seconds on one core

PARAM_LIMITS = {
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
    "seed": Field(ge=0, lt=2**63, description="random seed; equal seeds give equal texts"),
}
FILE_READERS: dict[str, Any] = {}  # lectern.serving itself reads tables with a column `prompt`


def stream(module: "CharacterModel", inputs: pd.DataFrame, params: dict[str, Any]) -> Iterator[str]:
    """Return an iterator of the characters in the text that `predict` returns for the first prompt."""
    prompt = encode(inputs["prompt"].iloc[0], module.facts)
    return stream_characters(module, prompt, **{**PARAMS, **params})
