"""Define the limits of requests to a language model, and stream its texts."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pandas as pd
from pydantic import Field

from lectern.tasks.language_model.data.format.alphabet import encode
from lectern.tasks.language_model.model.generation import stream_characters
from lectern.tasks.language_model.serving.inference_api import PARAMS

if TYPE_CHECKING:
    from lectern.tasks.language_model.model.module import CharacterModel

MAX_ROWS = 4  # The texts of a request are generated one after another.
SUPPORTS_BATCHING = False  # Requests are not combined, because their lengths and seeds can differ.
MAX_LENGTH = 5000  # maximum number of characters; generating them takes some seconds on one core

PARAM_LIMITS = {
    "length": Field(ge=1, le=MAX_LENGTH, description="number of characters that are generated"),
    "temperature": Field(
        ge=0,
        le=10,
        allow_inf_nan=False,
        description="0 selects the most likely character; 1 samples from the predicted probabilities",
    ),
    "top_k": Field(
        ge=0, le=10_000, description="sample only from this number of most likely characters; 0 means all characters"
    ),
    "top_p": Field(
        gt=0,
        le=1,
        allow_inf_nan=False,
        description="sample only from the most likely characters that together have this probability",
    ),
    "seed": Field(ge=0, lt=2**63, description="random seed; the same seed gives the same text"),
}
FILE_READERS: dict[str, Any] = {}  # This function is empty because lectern.serving reads tables with a column `prompt`.


def stream(module: "CharacterModel", inputs: pd.DataFrame, params: dict[str, Any]) -> Iterator[str]:
    """Return an iterator of the characters that `predict` returns as one text for the first prompt."""
    prompt = encode(inputs["prompt"].iloc[0], module.facts)
    return stream_characters(module, prompt, **{**PARAMS, **params})
