"""TODO: lectern.tasks.translation.data.format.sentences."""

from collections.abc import Sequence

from lectern.artifacts.dataset import Facts
from lectern.errors import UserError
from lectern.tasks.translation.data.format import vocabulary
from lectern.tasks.translation.data.format.cleaning import normalise
from lectern.tasks.translation.data.format.vocabulary import EOS


def prepare(sources: Sequence[object], facts: Facts) -> list[list[int]]:
    """Sentences as somebody typed them to ids up to the end, as the network takes them.

    Raises UserError for a sentence that is no text, is empty, or is longer than the network was trained for.
    """
    for number, text in enumerate(sources, 1):
        if not isinstance(text, str):
            raise UserError(f"Sentence {number} is {text!r}; a sentence is a text.")
    texts = [normalise(text) for text in sources]
    ids = vocabulary.encode(vocabulary.load(facts["tokenizer"]), texts)
    limit = facts["prepare"]["max_length"]
    for number, one in enumerate(ids, 1):
        if not one:
            raise UserError(f"Sentence {number} is empty, so there is nothing to translate. Leave it out.")
        if len(one) > limit:
            raise UserError(
                f"Sentence {number} has {len(one)} pieces; this model takes {limit} at most. Split it into sentences."
            )
    return [one + [EOS] for one in ids]
