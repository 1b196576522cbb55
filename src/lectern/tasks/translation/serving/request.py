"""Define the limits of requests to a translation model, and return its attention weights."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pydantic import Field

from lectern.tasks.translation.data.format.sentences import prepare
from lectern.tasks.translation.model.module import MAX_BEAM
from lectern.tasks.translation.serving.word_attention import compute_attention

if TYPE_CHECKING:
    import numpy as np

    from lectern.tasks.translation.model.module import Translator

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


def word_attention(module: "Translator", text: str, beam: int) -> "tuple[list[str], list[str], np.ndarray] | None":
    """Return the words and the attention weights of the best translation, as in `WordAttention`."""
    prepared = prepare([text], module.facts)[0]
    attention = compute_attention(module, prepared, module.translate([prepared], beam)[0][0].tokens)
    return None if attention is None else (attention.source, attention.target, attention.weights)


def token_attention(module: "Translator", text: str, beam: int) -> "tuple[list[str], list[str], np.ndarray] | None":
    """Return the tokens and the attention weights of the best translation, as in `Translator.attention`."""
    return module.attention(prepare([text], module.facts)[0], beam)
