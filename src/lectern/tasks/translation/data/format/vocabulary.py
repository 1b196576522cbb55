"""Convert sentences to token ids and back with byte-pair encoding (Sennrich et al. 2016, arXiv:1508.07909)."""

import json
from collections.abc import Iterable, Sequence
from functools import lru_cache

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

PAD, BOS, EOS = 0, 1, 2
SPECIAL = ["<pad>", "<bos>", "<eos>"]
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]  # tokens for text that is encoded byte by byte


def train_tokenizer(texts: Iterable[str], size: int) -> str:
    """Learn a vocabulary of at most `size` tokens for both languages, and return the tokenizer as text.

    The first token of a word begins with `▁`. Punctuation marks are separate tokens, so `man.` and `man` share their
    tokens.
    """
    tokenizer = build_tokenizer(models.BPE(byte_fallback=True))
    trainer = trainers.BpeTrainer(vocab_size=size, min_frequency=2, special_tokens=SPECIAL + BYTES, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    merges = [tuple(merge) for merge in model["merges"]]
    # The returned tokenizer has no special tokens, so the text `<eos>` in a sentence is not encoded as EOS.
    return build_tokenizer(models.BPE(model["vocab"], merges, byte_fallback=True)).to_str()


def build_tokenizer(model: models.BPE) -> Tokenizer:
    """Return a tokenizer whose decoder restores a text exactly, including spaces."""
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Metaspace(), pre_tokenizers.Punctuation("isolated")]
    )
    tokenizer.decoder = decoders.Sequence(
        [decoders.ByteFallback(), decoders.Replace("▁", " "), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return tokenizer


@lru_cache(maxsize=8)
def load_tokenizer(text: str) -> Tokenizer:
    """Return the tokenizer that is stored as text in the facts of the dataset."""
    return Tokenizer.from_str(text)


def encode(tokenizer: Tokenizer, texts: Iterable[str]) -> list[list[int]]:
    """Return the token ids of each text, without BOS and EOS."""
    return [encoding.ids for encoding in tokenizer.encode_batch(list(texts))]


def decode(tokenizer: Tokenizer, sequences: Sequence[Sequence[int]]) -> list[str]:
    """Return the text of each sequence of token ids."""
    return tokenizer.decode_batch([list(ids) for ids in sequences], skip_special_tokens=False)


def to_tokens(tokenizer: Tokenizer, ids: Iterable[int]) -> list[str]:
    """Return the token of each id. Raises ValueError if an id is not in the vocabulary."""
    tokens = []
    for token_id in ids:
        token = tokenizer.id_to_token(token_id)
        if token is None:
            raise ValueError(f"token id {token_id} is not in the vocabulary of {tokenizer.get_vocab_size()} tokens")
        tokens.append(token)
    return tokens
