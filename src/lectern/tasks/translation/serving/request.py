"""Define the limits of requests to a translation model."""

from collections.abc import Callable
from typing import Any

from pydantic import Field

from lectern.tasks.translation.model.module import MAX_BEAM

MAX_ROWS = 64
SUPPORTS_BATCHING = False  # a search ends with its longest sentence, so short sentences would wait for long ones
PARAM_LIMITS = {
    "beam": Field(ge=1, le=MAX_BEAM, description="hypotheses kept during the search; 1 is greedy search"),
    "n_best": Field(ge=1, le=MAX_BEAM, description="translations returned per sentence; at most `beam`"),
}
FILE_READERS: dict[str, Callable[..., Any]] = {}  # sentences come as tables, which every task can read
