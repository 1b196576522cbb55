"""Define the limits of requests to a translation model, and compute attention weights for the web page."""

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
# The search of a batch ends with its longest sentence, so requests with short sentences would wait for long sentences.
SUPPORTS_BATCHING = False
PARAM_LIMITS = {
    "beam": Field(
        ge=1, le=MAX_BEAM, description="number of partial translations that the search keeps; 1 means greedy search"
    ),
    "n_best": Field(ge=1, le=MAX_BEAM, description="number of translations per sentence, which is at most `beam`"),
}
# empty, because sentences are sent as tables, which lectern.serving itself reads
FILE_READERS: dict[str, Callable[..., Any]] = {}


def word_attention(module: "Translator", text: str, beam: int) -> "tuple[list[str], list[str], np.ndarray] | None":
    """Return source words, target words and weights for the best translation, as in `WordAttention`, or None.

    The result is None for a network without attention.
    """
    prepared = prepare([text], module.facts)[0]
    attention = compute_attention(module, prepared, module.translate([prepared], beam)[0][0].tokens)
    return None if attention is None else (attention.source, attention.target, attention.weights)


def token_attention(module: "Translator", text: str, beam: int) -> "tuple[list[str], list[str], np.ndarray] | None":
    """Return source tokens, target tokens and weights for the best translation, as in `Translator.attention`, or None.

    The result is None for a network without attention.
    """
    return module.attention(prepare([text], module.facts)[0], beam)
