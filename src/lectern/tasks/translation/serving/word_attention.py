"""Merge the attention weights between tokens into attention weights between words, for each layer and head."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from tokenizers import Tokenizer

from lectern.tasks.translation.data.format import vocabulary
from lectern.tasks.translation.data.format.vocabulary import BOS
from lectern.tasks.translation.data.format.words import is_unspaced

if TYPE_CHECKING:
    from lectern.tasks.translation.model.module import Translator

END = "end"  # label of EOS, which ends the source and the target


class WordAttention(NamedTuple):
    """Source words, target words, and attention weights of shape (layers, heads, target words, source words).

    The weights of each target word sum to 1.
    """

    source: list[str]
    target: list[str]
    weights: np.ndarray


@torch.inference_mode()
def compute_attention(module: "Translator", prepared: list[int], translation: list[int]) -> WordAttention | None:
    """Return the attention weights between the words of a source and a translation, both given as token ids.

    Return None for a network without attention.
    """
    source, target = (torch.tensor([ids], device=module.device) for ids in (prepared, [BOS, *translation]))
    weights = module.network.attention_weights(source, target)
    if weights is None:
        return None
    tokenizer = vocabulary.load_tokenizer(module.facts["tokenizer"])
    source_words, target_words = (
        group_into_words(vocabulary.to_tokens(tokenizer, ids)) for ids in (prepared[:-1], translation)
    )
    return WordAttention(
        [*word_texts(tokenizer, prepared, source_words), END],
        [*word_texts(tokenizer, translation, target_words), END],
        merge_tokens(weights[0].float().cpu().numpy(), source_words, target_words),
    )


def group_into_words(tokens: list[str]) -> list[list[int]]:
    """Return the token positions of each word.

    A word begins with `▁`. Each punctuation mark, and each token of a script without spaces, is also a word.
    """
    words: list[list[int]] = []
    after_mark = False
    for position, token in enumerate(tokens):
        is_mark = not token.startswith("<0x") and not any(map(str.isalnum, token))
        if not words or token.startswith("▁") or is_mark or after_mark or is_unspaced(token):
            words.append([])
        words[-1].append(position)
        after_mark = is_mark and token != "▁"
    return words


def word_texts(tokenizer: Tokenizer, ids: list[int], words: list[list[int]]) -> list[str]:
    """Return the text of each word, given the positions of its tokens."""
    texts = vocabulary.decode(tokenizer, [[ids[position] for position in word] for word in words])
    return [text.strip() or "␣" for text in texts]


def merge_tokens(weights: np.ndarray, source_words: list[list[int]], target_words: list[list[int]]) -> np.ndarray:
    """Merge the weights (layers, heads, target, source) between tokens, including EOS, into weights between words.

    The weight of a source word is the sum over its tokens. The weight of a target word is the mean over its tokens.
    """
    rows, columns = (
        [*words, [count - 1]] for words, count in ((target_words, weights.shape[2]), (source_words, weights.shape[3]))
    )
    summed = np.stack([weights[..., column].sum(-1) for column in columns], -1)
    return np.stack([summed[..., row, :].mean(-2) for row in rows], -2)
