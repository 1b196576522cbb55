"""Clean the splits of a parallel corpus, learn a vocabulary from the training split, and write texts and token ids."""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import pandas as pd

from lectern.artifacts.dataset import Facts, write_facts
from lectern.artifacts.digests import content_digest
from lectern.config import Amount, NonNegativeInt, PositiveInt
from lectern.errors import UserError
from lectern.tasks.translation.data.corpus import SIDES, Corpus, CorpusFiles, read_corpus
from lectern.tasks.translation.data.format import vocabulary
from lectern.tasks.translation.data.format.bleu_tokenizer import check_bleu_tokenizer
from lectern.tasks.translation.data.format.sentences import prepare
from lectern.tasks.translation.data.format.vocabulary import BOS, EOS
from lectern.tasks.translation.data.splits import clean_corpus
from lectern.tasks.translation.data.statistics import compute_statistics

ScoreName = Literal["bleu", "chrf", "exact_match"]


def preprocess(
    raw: Path,
    out: Path,
    source: str,
    target: str,
    train: str,
    validation: str | Amount,
    test: str | Amount,
    vocabulary_size: PositiveInt,
    max_length: PositiveInt,
    other_tests: Sequence[str] = (),
    score: ScoreName = "bleu",
    near_duplicate_min_words: PositiveInt | None = 8,
    columns: tuple[NonNegativeInt, NonNegativeInt] = (0, 1),
    key_column: NonNegativeInt | None = None,
) -> None:
    """Write `train.parquet` and `validation.parquet` (texts and ids), `test.parquet` (raw texts) and `facts.json`.

    `train`, `validation`, `test` and `other_tests` are file names, whose format `corpus.read_pairs` describes. If
    `validation` or `test` is a number or a share, this amount of pairs is held out from `train`. `key_column` is a
    column of a tab-separated file, such as the author. Pairs with equal values in this column are held out together.
    Models are compared by their `score` on `test`. Training sentences with more than `max_length` tokens are cut. A
    served model rejects sentences with more tokens.
    """
    if source == target:
        raise UserError(
            f"preprocess.source and preprocess.target are both {source!r}; expected two different languages."
        )
    files = CorpusFiles(raw, (source, target), columns, key_column)
    corpus = read_corpus(files, train, validation, test, other_tests)
    cleaned, counts = clean_corpus(corpus, near_duplicate_min_words)
    score_facts = describe_score(score, target, cleaned.train["target"])
    tokenizer = vocabulary.train_tokenizer(pd.concat([cleaned.train[side] for side in SIDES]), vocabulary_size)
    encoded = {split: encode_pairs(pairs, tokenizer, max_length) for split, pairs in cleaned.training_splits.items()}
    write_splits(out, encoded, corpus)
    statistics = compute_statistics({**encoded, **cleaned.tests}, tokenizer)
    statistics.to_csv(out / "statistics.csv", lineterminator="\n")
    settings = {
        "languages": {"source": source, "target": target},
        **score_facts,
        "prepare": {"max_length": max_length},
    }
    facts = {**settings, **collect_facts(encoded, corpus, tokenizer), "counts": counts}
    check_tests(corpus, facts)
    write_facts(out, facts)


def describe_score(score: str, language: str, targets: Iterable[str]) -> dict[str, str]:
    """Return the name of the score, and the tokenizer of BLEU.

    Raises UserError if the score cannot be computed.
    """
    return {"score": score} | ({"bleu_tokenizer": check_bleu_tokenizer(language, targets)} if score == "bleu" else {})


def encode_pairs(pairs: pd.DataFrame, tokenizer: str, max_length: int) -> pd.DataFrame:
    """Add columns with the token ids of source and target.

    A source ends with EOS. A target begins with BOS and ends with EOS.
    """
    pairs = pairs.copy()
    for side, begin in zip(SIDES, ([], [BOS]), strict=True):
        sentences = vocabulary.encode(vocabulary.load_tokenizer(tokenizer), pairs[side])
        pairs[f"{side}_ids"] = [begin + ids[:max_length] + [EOS] for ids in sentences]
        too_long = sum(len(ids) > max_length for ids in sentences)
        if too_long:
            print(f"lectern: {too_long:,} sentences ({side}) were cut to {max_length} tokens", file=sys.stderr)
    return pairs


def write_splits(out: Path, encoded: dict[str, pd.DataFrame], corpus: Corpus) -> None:
    """Write one Parquet table per split.

    The test table contains raw texts, because a served model also receives raw texts.
    """
    out.mkdir(parents=True, exist_ok=True)
    for split, pairs in encoded.items():
        pairs.to_parquet(out / f"{split}.parquet", index=False)
    tests = [pairs.assign(test=name) for name, pairs in corpus.tests.items()]
    pd.concat(tests).to_parquet(out / "test.parquet", index=False)


def collect_facts(encoded: dict[str, pd.DataFrame], corpus: Corpus, tokenizer: str) -> Facts:
    """Return the tokenizer as text, the vocabulary size, the items per split and the digest of the test set."""
    scored_test = next(iter(corpus.tests))
    test = corpus.tests[scored_test]
    return {
        "tokenizer": tokenizer,
        "vocabulary_size": vocabulary.load_tokenizer(tokenizer).get_vocab_size(),
        "scored_test": scored_test,
        "items": {**{split: len(pairs) for split, pairs in encoded.items()}, "test": len(test)},
        "test_digest": content_digest(test["source"], test["target"]),
    }


def check_tests(corpus: Corpus, facts: Facts) -> None:
    """Raise UserError if a model would reject a test sentence, so that the error appears before the training."""
    for name, pairs in corpus.tests.items():
        try:
            prepare(pairs["source"].tolist(), facts)
        except UserError as error:
            raise UserError(f"{name}: {error} Or set preprocess.max_length to a larger number.") from error
