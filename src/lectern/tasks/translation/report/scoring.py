"""Score translations.

The score of any selection of sentences can be computed from a table with one row per sentence.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

ORDERS = (1, 2, 3, 4)
LENGTHS = ["translation_length", "reference_length"]
NGRAMS = [f"{kind}_{order}" for kind in ("matches", "ngrams") for order in ORDERS]


@dataclass(frozen=True)
class Measure:
    """A measure of translation quality, such as BLEU.

    A measure consists of a function that computes statistics of each sentence, and a function that computes a score
    from the sums of the statistics.
    """

    label: str
    columns: list[str]
    sentence_statistics: Callable[[list[str], list[str]], np.ndarray]
    score_sums: Callable[[np.ndarray, int], float]


def count_ngrams(translations: list[str], references: list[str]) -> np.ndarray:
    """Return the lengths, the numbers of matching n-grams and the numbers of n-grams of each sentence.

    The texts are lower-cased and split by sacreBLEU's tokenizer 13a.
    """
    metric = BLEU(lowercase=True, effective_order=True)
    scores = [
        metric.sentence_score(translation, [reference])
        for translation, reference in zip(translations, references, strict=True)
    ]
    return np.array([[score.sys_len, score.ref_len, *score.counts, *score.totals] for score in scores], float)


def bleu_from_sums(sums: np.ndarray, _: int) -> float:
    """Return corpus BLEU (Papineni et al. 2002), from 0 to 100, from the sums of `count_ngrams` over sentences."""
    lengths, matches, ngrams = (part.tolist() for part in np.split(sums.astype(int), [2, 2 + len(ORDERS)]))
    return float(BLEU.compute_bleu(matches, ngrams, lengths[0], lengths[1], smooth_method="exp").score)


def is_exact(translations: list[str], references: list[str]) -> np.ndarray:
    return np.array([[text == reference] for text, reference in zip(translations, references, strict=True)], float)


MEASURES = {
    "bleu": Measure("BLEU, lower-cased", [*LENGTHS, *NGRAMS], count_ngrams, bleu_from_sums),
    "exact_match": Measure("share of exact matches", ["exact"], is_exact, lambda sums, count: float(sums[0] / count)),
}


def tabulate_items(name: str, sources: list[str], translations: list[str], references: list[str]) -> pd.DataFrame:
    """Return a table with one row per sentence: texts, length, and the statistics of the measure `name`.

    Pairs with the same source sentence form one group, and different groups are independent.
    """
    measure = MEASURES[name]
    items = pd.DataFrame(measure.sentence_statistics(translations, references), columns=measure.columns)
    texts = {"source": sources, "translation": translations, "reference": references}
    numbers = {"item": np.arange(len(items)), "group": pd.factorize(np.array(sources))[0]}
    return items.assign(**numbers, measure=name, words=list(map(count_words, sources)), **texts)


def count_words(text: str) -> int:
    return len(text.split())


def score(items: pd.DataFrame) -> float:
    """Return the score of all sentences in a table as one corpus."""
    return score_sums(statistics(items).sum().to_dict())


def statistics(items: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of the items whose sums over all items determine the score.

    The columns depend on the measure.
    """
    return items[MEASURES[items["measure"].iloc[0]].columns].assign(sentences=1.0)


def score_sums(sums: Mapping[str, float]) -> float:
    """Return the score of a corpus, computed from the sums of the statistics over its sentences."""
    (measure,) = (measure for measure in MEASURES.values() if set(measure.columns) <= sums.keys())
    return measure.score_sums(np.array([sums[name] for name in measure.columns]), int(sums["sentences"]))


def confidence_interval(items: pd.DataFrame, draws: int = 1000) -> tuple[float, float]:
    """Return the 95 % bootstrap confidence interval of the score.

    In each resample, sentences are drawn with replacement (Koehn 2004).
    """
    measure, count = MEASURES[items["measure"].iloc[0]], len(items)
    weights = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), draws)
    scores = [measure.score_sums(sums, count) for sums in weights @ items[measure.columns].to_numpy()]
    low, high = np.percentile(scores, [2.5, 97.5]).tolist()
    return low, high


def corpus_metrics(translations: list[str], references: list[str]) -> dict[str, float | str]:
    """Return metrics that papers report: two variants of BLEU, and chrF (Popovic 2015).

    The result also contains sacreBLEU's signature of each metric, which states how the metric is computed.
    """
    metrics = {
        "bleu_lower_cased_tokenised": BLEU(lowercase=True),
        "bleu_true_case_detokenised": BLEU(),
        "chrf": CHRF(),
    }
    values: dict[str, float | str] = {}
    for name, metric in metrics.items():
        values[name] = metric.corpus_score(translations, [references]).score
        values[f"{name}_signature"] = metric.get_signature().format()
    values["exact_match"] = float(is_exact(translations, references).mean())
    values["length_ratio"] = sum(map(count_words, translations)) / sum(map(count_words, references))
    return values
