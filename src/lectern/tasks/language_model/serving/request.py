"""What may be asked of a writer: prompts in JSON, and a text as it is written."""

from collections.abc import Iterator
from typing import Any

import pandas as pd
from pydantic import Field

from lectern.tasks.language_model.data.format.alphabet import prepare
from lectern.tasks.language_model.model.generation import stream as write
from lectern.tasks.language_model.serving.inference_api import PARAMS

ROWS = 4  # each writes its characters one after the other
TOGETHER = False  # each has a length and a seed of its own
LONGEST = 5000  # characters: some seconds of one core

PARAMETERS = {
    "length": Field(ge=1, le=LONGEST, description="characters to write"),
    "temperature": Field(ge=0, le=10, allow_inf_nan=False, description="0 is always the likeliest, 1 as learned"),
    "top_k": Field(ge=0, le=10_000, description="keep this many of the likeliest; 0 keeps all"),
    "top_p": Field(gt=0, le=1, allow_inf_nan=False, description="keep the likeliest that are together so likely"),
    "seed": Field(ge=0, lt=2**63, description="the same seed writes the same text"),
}
FILES: dict = {}  # prompts are columns of a table: nothing that only this room could read


def stream(module, inputs: pd.DataFrame, params: dict[str, Any]) -> Iterator[str]:
    """What `answer` gives whole, character by character."""
    return write(module, prepare(inputs["prompt"].iloc[0], module.facts), **{**PARAMS, **params})
