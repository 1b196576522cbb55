"""Define the limits of requests to a translation model."""

from collections.abc import Callable
from typing import Any

from pydantic import Field

from lectern.tasks.translation.model.module import MAX_BEAM

MAX_ROWS = 64
# Requests are not combined, because a search ends with its longest sentence, so short sentences would wait.
SUPPORTS_BATCHING = False
PARAM_LIMITS = {
    "beam": Field(
        ge=1, le=MAX_BEAM, description="number of partial translations that the search keeps; 1 means greedy search"
    ),
    "n_best": Field(ge=1, le=MAX_BEAM, description="number of translations per sentence, which is at most `beam`"),
}
# No media types are needed here, because sentences are sent as tables, and every task can read tables.
FILE_READERS: dict[str, Callable[..., Any]] = {}
