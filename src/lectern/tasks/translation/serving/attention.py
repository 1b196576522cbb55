"""A sentence and its translation to where each layer and head of the network looked, word by word."""

from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from lectern.tasks.translation.data.format import vocabulary
from lectern.tasks.translation.data.format.vocabulary import BOS, EOS

END = "end"  # stands for the end of a sentence, which is read and written too


class Looks(NamedTuple):
    """Words read, words written, and weights (layers, heads, written, read); each written word's sum to one."""

    read: list[str]
    written: list[str]
    weights: np.ndarray


@torch.inference_mode()
def look(module, prepared: list[int], words: list[int]) -> Looks | None:
    """Where it looks while it writes these words; None for a network that has no attention."""
    device = module.device
    source, target = (torch.tensor([ids], device=device) for ids in (prepared, [BOS, *words]))
    weights = all_looks(module.network, source, target)
    if weights is None:
        return None
    tokenizer = vocabulary.load(module.facts["tokenizer"])
    read, written = (group(vocabulary.pieces(tokenizer, ids[:-1])) for ids in (prepared, [*words, EOS]))
    return Looks(
        [*texts(tokenizer, prepared, read), END],
        [*texts(tokenizer, words, written), END],
        merge(weights.float().cpu().numpy(), read, written),
    )


def all_looks(network: nn.Module, source: torch.Tensor, words: torch.Tensor) -> torch.Tensor | None:
    """(layers, heads, written, read): of a Transformer all, of another network its one."""
    if hasattr(network, "decoder"):
        return network.write(*network.start(source), words)[2][0]
    found = network.attention(source, words)
    return None if found is None else found[0][None, None]


def group(pieces: list[str]) -> list[list[int]]:
    """Places of the pieces of each word: it begins with `▁`, a mark stands for itself."""
    words: list[list[int]] = []
    for place, piece in enumerate(pieces):
        is_mark = not piece.startswith("<0x") and not any(map(str.isalnum, piece))
        after_mark = bool(words) and words[-1][-1] == -1
        if piece.startswith("▁") or is_mark or after_mark or not words:
            words.append([])
        words[-1] += [place, -1] if is_mark and piece != "▁" else [place]
    return [[place for place in word if place >= 0] for word in words]


def texts(tokenizer, ids: list[int], words: list[list[int]]) -> list[str]:
    """What each group of pieces says."""
    said = vocabulary.decode(tokenizer, [[ids[place] for place in word] for word in words])
    return [text.strip() or "␣" for text in said]


def merge(weights: np.ndarray, read: list[list[int]], written: list[list[int]]) -> np.ndarray:
    """Pieces to words and the end: who looks at a piece looks at its word; a word looks as its pieces do on average."""
    ends = ([*words, [count - 1]] for words, count in ((written, weights.shape[2]), (read, weights.shape[3])))
    rows, columns = ends
    looked = np.stack([weights[..., word].sum(-1) for word in columns], -1)
    return np.stack([looked[..., word, :].mean(-2) for word in rows], -2)
