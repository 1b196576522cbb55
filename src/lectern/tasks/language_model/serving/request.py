"""Define the limits of requests to a language model, and stream generated texts."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pandas as pd
from pydantic import Field

from lectern.registry.model_params import validate_params
from lectern.tasks.language_model.data.format.alphabet import encode
from lectern.tasks.language_model.model.generation import stream_characters

if TYPE_CHECKING:
    from lectern.tasks.language_model.model.module import CharacterModel

MAX_ROWS = 4  # small, because the texts of a request are generated one after another
SUPPORTS_BATCHING = False  # requests can have different lengths and seeds
MAX_LENGTH = 5000  # maximum number of characters per text on the server; a text of this length takes some seconds

SERVER_PARAM_LIMITS = {"length": Field(ge=1, le=MAX_LENGTH, description="number of characters to generate")}
FILE_READERS: dict[str, Any] = {}  # lectern.serving itself reads tables with a column `prompt`


def stream(module: "CharacterModel", inputs: pd.DataFrame, params: dict[str, Any]) -> Iterator[str]:
    """Return an iterator of the characters in the text that `predict` returns for the first prompt."""
    prompt = encode(inputs["prompt"].iloc[0], module.facts)
    return stream_characters(module, prompt, **validate_params("language_model", params))
