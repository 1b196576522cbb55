"""Sentences to the ids of their pieces and back, by byte-pair encoding (Sennrich et al. 2016, arXiv:1508.07909)."""

import json
from collections.abc import Iterable, Sequence
from functools import lru_cache

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

PAD, BOS, EOS = 0, 1, 2
SPECIAL = ["<pad>", "<bos>", "<eos>"]
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]  # what no piece covers is spelt in bytes: nothing is unknown


def learn(texts: Iterable[str], size: int) -> str:
    """A joint vocabulary of at most `size` pieces, as the text that `load` takes.

    Words begin with `▁`; punctuation stands for itself, so that `man.` is no other word than `man`.
    """
    tokenizer = build(models.BPE(byte_fallback=True))
    trainer = trainers.BpeTrainer(vocab_size=size, min_frequency=2, special_tokens=SPECIAL + BYTES, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    learnt = json.loads(tokenizer.to_str())["model"]
    merges = [tuple(merge) for merge in learnt["merges"]]
    # built anew, without special tokens: who types `<eos>` gets its letters, not the end of the sentence
    return build(models.BPE(learnt["vocab"], merges, byte_fallback=True)).to_str()


def build(model: models.BPE) -> Tokenizer:
    """A tokenizer that loses nothing: decoding gives the text back, spaces and all."""
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Metaspace(), pre_tokenizers.Punctuation("isolated")]
    )
    tokenizer.decoder = decoders.Sequence(
        [decoders.ByteFallback(), decoders.Replace("▁", " "), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return tokenizer


@lru_cache(maxsize=8)
def load(text: str) -> Tokenizer:
    """The tokenizer that the facts hold as text."""
    return Tokenizer.from_str(text)


def encode(tokenizer: Tokenizer, texts: Iterable[str]) -> list[list[int]]:
    """The ids of each text's pieces, without begin or end."""
    return [encoding.ids for encoding in tokenizer.encode_batch(list(texts))]


def decode(tokenizer: Tokenizer, ids: Sequence[Sequence[int]]) -> list[str]:
    """The text that each list of ids stands for."""
    return tokenizer.decode_batch([list(one) for one in ids], skip_special_tokens=False)


def pieces(tokenizer: Tokenizer, ids: Iterable[int]) -> list[str]:
    """What each id stands for, to be shown beside an attention map."""
    return [tokenizer.id_to_token(one) for one in ids]
