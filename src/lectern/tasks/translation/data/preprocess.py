"""Raw parallel files to packed splits of ids, plus the facts learned from the training split: its vocabulary."""

import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from lectern.artifacts.dataset import Facts, write_facts
from lectern.artifacts.digests import content_digest
from lectern.errors import UserError
from lectern.tasks.translation.data.corpus import SIDES, Corpus, read_corpus
from lectern.tasks.translation.data.format import vocabulary
from lectern.tasks.translation.data.format.sentences import prepare
from lectern.tasks.translation.data.format.vocabulary import BOS, EOS
from lectern.tasks.translation.data.splits import make_ready
from lectern.tasks.translation.data.statistics import describe

SCORES = ("bleu", "exact_match")


def preprocess(
    raw: Path,
    out: Path,
    source: str,
    target: str,
    train: str,
    validation: str | int,
    test: str,
    vocabulary_size: int,
    max_length: int,
    other_tests: Sequence[str] = (),
    score: str = "bleu",
    near_duplicates_from: int | None = 8,
    columns: Sequence[int] = (0, 1),
) -> None:
    """Write `train.parquet` and `validation.parquet` (texts and ids), `test.parquet` (raw texts), then the facts.

    `train`, `validation`, `test` and `other_tests` name files as `corpus.read_pairs` takes them; a number as
    `validation` holds as many pairs out of `train`. Models are scored and compared on `test` by `score`. Sentences
    of more than `max_length` pieces are cut in training and refused in serving.
    """
    if score not in SCORES:
        raise UserError(f"preprocess.score is {score!r}; it must be one of: {', '.join(SCORES)}.")
    corpus = read_corpus(raw, (source, target), columns, train, validation, [test, *other_tests])
    ready, counts = make_ready(corpus, near_duplicates_from)
    text = vocabulary.learn(pd.concat([ready.train[side] for side in SIDES]), vocabulary_size)
    packed = {split: pack(pairs, text, max_length) for split, pairs in ready.learned.items()}
    write_splits(out, packed, corpus)
    describe({**packed, **ready.tests}, text).to_csv(out / "statistics.csv", lineterminator="\n")
    own = {"languages": {"source": source, "target": target}, "score": score, "prepare": {"max_length": max_length}}
    facts = {**own, **learn_facts(packed, corpus, text), "counts": counts}
    check_tests(corpus, facts)
    write_facts(out, facts)


def pack(pairs: pd.DataFrame, tokenizer: str, max_length: int) -> pd.DataFrame:
    """Texts with their ids: of the source up to the end, of the target from begin to end."""
    pairs = pairs.copy()
    for side, begin in zip(SIDES, ([], [BOS]), strict=True):
        ids = vocabulary.encode(vocabulary.load(tokenizer), pairs[side])
        pairs[f"{side}_ids"] = [begin + one[:max_length] + [EOS] for one in ids]
        too_long = sum(len(one) > max_length for one in ids)
        if too_long:
            print(f"lectern: {too_long:,} sentences ({side}) were cut to {max_length} pieces", file=sys.stderr)
    return pairs


def write_splits(out: Path, packed: dict[str, pd.DataFrame], corpus: Corpus) -> None:
    """Parquet, a table a split. The tests stay as they came: raw in, raw out, as in serving."""
    out.mkdir(parents=True, exist_ok=True)
    for split, pairs in packed.items():
        pairs.to_parquet(out / f"{split}.parquet", index=False)
    tests = [pairs.assign(test=name) for name, pairs in corpus.tests.items()]
    pd.concat(tests).to_parquet(out / "test.parquet", index=False)


def learn_facts(packed: dict[str, pd.DataFrame], corpus: Corpus, tokenizer: str) -> Facts:
    """The vocabulary as plain text, so that serving needs nothing else, and the counts."""
    scored = next(iter(corpus.tests))
    test = corpus.tests[scored]
    return {
        "tokenizer": tokenizer,
        "vocabulary_size": vocabulary.load(tokenizer).get_vocab_size(),
        "scored_test": scored,
        "items": {**{split: len(pairs) for split, pairs in packed.items()}, "test": len(test)},
        "test_digest": content_digest(test["source"], test["target"]),
    }


def check_tests(corpus: Corpus, facts: Facts) -> None:
    """Raises UserError for a test sentence that a model could not be asked for: better now than after training."""
    for name, pairs in corpus.tests.items():
        try:
            prepare(pairs["source"].tolist(), facts)
        except UserError as error:
            raise UserError(f"{name}: {error} Or raise preprocess.max_length.") from error
