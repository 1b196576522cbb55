"""Define the limits of requests to a sentence classifier, and explain predictions for the web page."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lectern.errors import UserError
from lectern.tasks.sentences.data.format.sentences import prepare, split_sentences

if TYPE_CHECKING:
    import pandas as pd

    from lectern.tasks.sentences.model.module import SentenceClassifier

MAX_ROWS = 256
SUPPORTS_BATCHING = False  # a table of inputs is already computed in batches of similar length
# empty, because sentences are sent as tables, which lectern.serving itself reads
FILE_READERS: dict[str, Callable[..., Any]] = {}


def check_inputs(facts: dict[str, Any], inputs: "pd.DataFrame") -> None:
    """Raise UserError if `lectern predict` must refuse one of the sentences in the column `text`."""
    try:
        prepare(inputs["text"].tolist(), facts)
    except UserError as error:
        raise UserError(str(error).replace("Sentence 1 ", "The sentence ", 1)) from error


def word_importance(module: "SentenceClassifier", text: str) -> "tuple[list[str], list[float], str]":
    """Return the words of a sentence, the importance of each word, and the method: `attention` or `occlusion`.

    Attention weights are from 0 to 1. Occlusion is by how much the probability of the predicted class falls if the word
    is unknown, so it can be negative. Words beyond the first 64 have no occlusion value and are left out.
    """
    from lectern.tasks.sentences.model.word_importance import occlude_words

    words = split_sentences([text], module.facts)[0]
    numbers = prepare([text], module.facts)[0]
    weights = module.attention(numbers)
    method = "occlusion" if weights is None else "attention"
    values = occlude_words(module, numbers) if weights is None else weights
    return words[: len(values)], [float(value) for value in values], method
