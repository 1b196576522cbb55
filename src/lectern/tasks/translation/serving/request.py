"""Define the limits of requests to a translation model, and compute attention weights for the web page."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lectern.errors import UserError
from lectern.tasks.translation.data.format.sentences import prepare
from lectern.tasks.translation.serving.word_attention import compute_attention

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from lectern.tasks.translation.model.module import Translator

MAX_ROWS = 64
# The search of a batch ends with its longest sentence, so requests with short sentences would wait for long sentences.
SUPPORTS_BATCHING = False
# empty, because sentences are sent as tables, which lectern.serving itself reads
FILE_READERS: dict[str, Callable[..., Any]] = {}


def check_inputs(facts: dict[str, Any], inputs: "pd.DataFrame") -> None:
    """Raise UserError if `lectern predict` must refuse one of the sentences in the column `source`."""
    try:
        prepare(inputs["source"].tolist(), facts)
    except UserError as error:
        raise UserError(str(error).replace("Sentence 1 ", "The sentence ", 1)) from error


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
