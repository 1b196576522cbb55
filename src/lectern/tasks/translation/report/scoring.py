"""Translations and references to numbers, and to a row a sentence from which the score of any selection can be told."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
from sacrebleu.metrics import BLEU, CHRF

ORDERS = (1, 2, 3, 4)
LENGTHS = ["translation_length", "reference_length"]
NGRAMS = [f"{what}_{order}" for what in ("matches", "ngrams") for order in ORDERS]


class Measure(NamedTuple):
    """What a data set is scored by: what is kept of each sentence, and how the sums of that become the score."""

    columns: list[str]
    count: Callable[[list[str], list[str]], np.ndarray]
    score: Callable[[np.ndarray, int], float]


def count_ngrams(translations: list[str], references: list[str]) -> np.ndarray:
    """Lengths, matching n-grams and n-grams of each sentence, lower-cased, by sacreBLEU's tokenizer 13a."""
    metric = BLEU(lowercase=True, effective_order=True)
    found = [metric.sentence_score(one, [other]) for one, other in zip(translations, references, strict=True)]
    return np.array([[score.sys_len, score.ref_len, *score.counts, *score.totals] for score in found], float)


def bleu(sums: np.ndarray, _: int) -> float:
    """BLEU of a corpus (Papineni et al. 2002), 0 to 100, from the sums over its sentences."""
    lengths, matches, ngrams = np.split(sums.astype(int), [2, 2 + len(ORDERS)])
    return BLEU.compute_bleu(matches.tolist(), ngrams.tolist(), *lengths.tolist(), smooth_method="exp").score


def is_exact(translations: list[str], references: list[str]) -> np.ndarray:
    return np.array([[one == other] for one, other in zip(translations, references, strict=True)], float)


MEASURES = {
    "bleu": Measure([*LENGTHS, *NGRAMS], count_ngrams, bleu),
    "exact_match": Measure(["exact"], is_exact, lambda sums, count: float(sums[0] / count)),
}


def tabulate(name: str, sources: list[str], translations: list[str], references: list[str]) -> pd.DataFrame:
    """A row a sentence: its texts, its length, and what `score` needs of it. Sentences are independent: own blocks."""
    measure = MEASURES[name]
    items = pd.DataFrame(measure.count(translations, references), columns=measure.columns)
    texts = {"source": sources, "translation": translations, "reference": references}
    number = np.arange(len(items))
    return items.assign(item=number, block=number, measure=name, words=list(map(count_words, sources)), **texts)


def count_words(text: str) -> int:
    return len(text.split())


def score(items: pd.DataFrame) -> float:
    """The score of these sentences together."""
    measure = MEASURES[items["measure"].iloc[0]]
    return measure.score(items[measure.columns].to_numpy().sum(0), len(items))


def interval(items: pd.DataFrame, draws: int = 1000) -> tuple[float, float]:
    """95 % of the scores of as many sentences drawn with replacement (Koehn 2004) lie between these two."""
    measure, count = MEASURES[items["measure"].iloc[0]], len(items)
    weights = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), draws)
    scores = [measure.score(sums, count) for sums in weights @ items[measure.columns].to_numpy()]
    return tuple(np.percentile(scores, [2.5, 97.5]).tolist())


def describe(translations: list[str], references: list[str]) -> dict[str, float | str]:
    """What papers and shared tasks report: BLEU in two protocols, chrF (Popovic 2015), and how they were made."""
    metrics = {
        "bleu_lower_cased_tokenised": BLEU(lowercase=True),
        "bleu_true_case_detokenised": BLEU(),
        "chrf": CHRF(),
    }
    numbers: dict[str, float | str] = {}
    for name, metric in metrics.items():
        numbers[name] = metric.corpus_score(translations, [references]).score
        numbers[f"{name}_signature"] = metric.get_signature().format()
    numbers["exact_match"] = float(is_exact(translations, references).mean())
    numbers["length_ratio"] = sum(map(count_words, translations)) / sum(map(count_words, references))
    return numbers
