"""Score translations.

The score of any selection of sentences can be computed from a table with one row per sentence.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from lectern.tasks.translation.data.format.bleu_tokenizer import create_bleu
from lectern.tasks.translation.data.format.words import count_words

ORDERS = (1, 2, 3, 4)
LENGTHS = ["translation_length", "reference_length"]
CHARACTER_ORDERS = (1, 2, 3, 4, 5, 6)
CHARACTERS = [f"characters_{kind}_{order}" for order in CHARACTER_ORDERS for kind in ("found", "expected", "matches")]
NGRAMS = [f"{kind}_{order}" for kind in ("matches", "ngrams") for order in ORDERS]


@dataclass(frozen=True)
class Measure:
    """A measure of translation quality, such as BLEU.

    A measure consists of a function that computes statistics of each sentence, and a function that computes a score
    from the sums of the statistics.
    """

    label: str
    columns: list[str]
    sentence_statistics: Callable[[list[str], list[str], str], np.ndarray]
    score_sums: Callable[[np.ndarray, int], float]


def count_ngrams(translations: list[str], references: list[str], language: str) -> np.ndarray:
    """Count the matching n-grams and all n-grams of each sentence. Return the lengths and the counts.

    The texts are lower-cased, and sacreBLEU's tokenizer for the target language splits them.
    """
    metric = create_bleu(language, lowercase=True, effective_order=True)
    scores = [
        metric.sentence_score(translation, [reference])
        for translation, reference in zip(translations, references, strict=True)
    ]
    return np.array([[score.sys_len, score.ref_len, *score.counts, *score.totals] for score in scores], float)


def bleu_from_sums(sums: np.ndarray, _: int) -> float:
    """Return corpus BLEU (Papineni et al. 2002), from 0 to 100, from the sums of `count_ngrams` over sentences."""
    lengths, matches, ngrams = (part.tolist() for part in np.split(sums.astype(int), [2, 2 + len(ORDERS)]))
    return float(BLEU.compute_bleu(matches, ngrams, lengths[0], lengths[1], smooth_method="exp").score)


def count_character_ngrams(translations: list[str], references: list[str], _: str) -> np.ndarray:
    """Count the character n-grams of each translation and each reference, and the matching character n-grams.

    Spaces are not counted.
    """
    return np.array([match_characters(*pair) for pair in zip(translations, references, strict=True)], float)


def match_characters(translation: str, reference: str) -> list[int]:
    texts = ["".join(text.split()) for text in (translation, reference)]
    counts = []
    for order in CHARACTER_ORDERS:
        found, expected = (Counter(text[end - order : end] for end in range(order, len(text) + 1)) for text in texts)
        counts += [found.total() if expected else 0, expected.total(), (found & expected).total()]
    return counts


def chrf_from_sums(sums: np.ndarray, _: int) -> float:
    """Compute corpus chrF (Popovic 2015), from 0 to 100, from the sums over its sentences. Recall has double weight."""
    found, expected, matches = sums.reshape(-1, 3).T
    used = (found > 0) & (expected > 0)
    if not matches.any():
        return 0.0
    precision, recall = (float((matches[used] / total[used]).mean()) for total in (found, expected))
    return 100 * 5 * precision * recall / (4 * precision + recall)


def is_exact(translations: list[str], references: list[str], _: str) -> np.ndarray:
    """Return 1 for each translation that equals its reference, and 0 otherwise."""
    return np.array([[text == reference] for text, reference in zip(translations, references, strict=True)], float)


MEASURES = {
    "bleu": Measure("BLEU, lower-cased", [*LENGTHS, *NGRAMS], count_ngrams, bleu_from_sums),
    "chrf": Measure("chrF", CHARACTERS, count_character_ngrams, chrf_from_sums),
    "exact_match": Measure("share of exact matches", ["exact"], is_exact, lambda sums, count: float(sums[0] / count)),
}


def tabulate_items(
    name: str, language: str, sources: list[str], translations: list[str], references: list[str]
) -> pd.DataFrame:
    """Return one row per sentence with its texts, its length and the statistics of the measure `name`.

    `language` is the code of the target language.

    Different sentences are independent. Pairs with the same source sentence are one group.
    """
    measure = MEASURES[name]
    items = pd.DataFrame(measure.sentence_statistics(translations, references, language), columns=measure.columns)
    texts = {"source": sources, "translation": translations, "reference": references}
    numbers = {"item": np.arange(len(items)), "group": pd.factorize(np.array(sources))[0]}
    return items.assign(**numbers, measure=name, words=list(map(count_words, sources)), **texts)


def score(items: pd.DataFrame) -> float:
    """Return the score of all sentences in a table as one corpus."""
    return score_sums(statistics(items).sum().to_dict())


def statistics(items: pd.DataFrame) -> pd.DataFrame:
    """Return one row of statistics per item. The sums of the statistics over all items determine the score.

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


def corpus_metrics(translations: list[str], references: list[str], language: str) -> dict[str, float | str]:
    """Return two variants of BLEU, and chrF (Popovic 2015). Papers report these metrics.

    `language` is the code of the target language. The signature of each metric states how sacreBLEU computed it.
    """
    metrics = {
        "bleu_lower_cased_tokenised": create_bleu(language, lowercase=True),
        "bleu_true_case_detokenised": create_bleu(language),
        "chrf": CHRF(),
    }
    values: dict[str, float | str] = {}
    for name, metric in metrics.items():
        values[name] = metric.corpus_score(translations, [references]).score
        values[f"{name}_signature"] = metric.get_signature().format()
    values["exact_match"] = float(is_exact(translations, references, language).mean())
    values["length_ratio"] = sum(map(count_words, translations)) / sum(map(count_words, references))
    return values
