"""Define the limits of requests to a translation model."""

from collections.abc import Callable
from typing import Any

from pydantic import Field

from lectern.tasks.translation.model.module import MAX_BEAM

MAX_ROWS = 64
SUPPORTS_BATCHING = False  # A search ends with its longest sentence, so short sentences would wait for long sentences.
PARAM_LIMITS = {
    "beam": Field(ge=1, le=MAX_BEAM, description="number of hypotheses kept during the search; 1 is greedy search"),
    "n_best": Field(ge=1, le=MAX_BEAM, description="number of translations returned per sentence; at most `beam`"),
}
FILE_READERS: dict[str, Callable[..., Any]] = {}  # Sentences are sent as tables, and every task can read tables.
