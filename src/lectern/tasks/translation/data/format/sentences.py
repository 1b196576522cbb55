"""Convert raw sentences to the token ids that a network expects."""

from collections.abc import Sequence

from lectern.artifacts.dataset import Facts
from lectern.errors import UserError
from lectern.tasks.translation.data.format import vocabulary
from lectern.tasks.translation.data.format.cleaning import normalize
from lectern.tasks.translation.data.format.vocabulary import EOS


def prepare(sources: Sequence[object], facts: Facts) -> list[list[int]]:
    """Return the token ids of each raw sentence. The last id is EOS.

    Raises UserError if a sentence is not a string, is empty, or is longer than the model supports.
    """
    texts = [normalize(require_string(number, source)) for number, source in enumerate(sources, 1)]
    sentences = vocabulary.encode(vocabulary.load_tokenizer(facts["tokenizer"]), texts)
    limit = facts["prepare"]["max_length"]
    for number, ids in enumerate(sentences, 1):
        if not ids:
            raise UserError(f"Sentence {number} is empty. Remove it.")
        if len(ids) > limit:
            raise UserError(
                f"Sentence {number} has {len(ids)} tokens; this model accepts at most {limit}. "
                "Split the sentence into shorter sentences."
            )
    return [ids + [EOS] for ids in sentences]


def require_string(number: int, source: object) -> str:
    if not isinstance(source, str):
        raise UserError(f"Sentence {number} is {source!r}; expected a string.")
    return source
