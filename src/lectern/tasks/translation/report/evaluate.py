"""Score a trained translation model on raw test sentences, and write the report."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from lectern.artifacts.dataset import read_facts
from lectern.atomic import write_json
from lectern.tasks.translation.data.format.sentences import prepare
from lectern.tasks.translation.model.module import Translator
from lectern.tasks.translation.report import plots
from lectern.tasks.translation.report.baseline import read_tests, score_baselines
from lectern.tasks.translation.report.scoring import (
    confidence_interval,
    corpus_metrics,
    score,
    score_sums,
    statistics,
    tabulate_items,
)

BEAM = 5
__all__ = ["evaluate", "measure", "score", "score_sums", "statistics"]


def evaluate(module: Translator, processed: Path, out: Path) -> dict[str, float]:
    """Translate all test sets with a beam of 5, write the report to the folder `out`, and return the main metrics.

    The main metrics are the score, case-sensitive BLEU, chrF and the share of exact matches.
    """
    facts, tests = read_facts(processed), read_tests(processed)
    language = facts["languages"]["target"]
    translations = {name: translate(module, sources, BEAM) for name, (sources, _) in tests.items()}
    details = {
        name: corpus_metrics(translations[name], references, language) for name, (_, references) in tests.items()
    }
    scored_test = facts["scored_test"]
    sources, references = tests[scored_test]
    items = tabulate_items(facts["score"], language, sources, translations[scored_test], references)
    greedy = tabulate_items(facts["score"], language, sources, translate(module, sources, 1), references)
    scores = {
        "score": score(items),
        "score_interval": dict(zip(("low", "high"), confidence_interval(items), strict=True)),
        "score_greedy": score(greedy),
        "baselines": score_baselines(processed),
    }
    items.to_parquet(out / "items.parquet", index=False)
    write_json(out / "details.json", {**details, **scores})
    plots.draw_score_by_length({out.name: items}, out / "score_by_length.png")
    plots.tabulate_score_by_length(items).to_csv(out / "score_by_length.csv", index=False, lineterminator="\n")
    draw_attention(module, items, out / "attention.png")
    return summarize(items, details[scored_test])


def measure(module: Translator, processed: Path) -> pd.DataFrame:
    """Return a table with one row per sentence for the promotion gate. No report is written.

    The sentences are those of the test set that determines the score.
    """
    facts = read_facts(processed)
    sources, references = read_tests(processed)[facts["scored_test"]]
    translations = translate(module, sources, BEAM)
    return tabulate_items(facts["score"], facts["languages"]["target"], sources, translations, references)


def summarize(items: pd.DataFrame, details: Mapping[str, float | str]) -> dict[str, float]:
    """Return the main metrics, by which versions are compared."""
    return {
        "score": score(items),
        "bleu_true_case": float(details["bleu_true_case_detokenised"]),
        "chrf": float(details["chrf"]),
        "exact_match": float(details["exact_match"]),
    }


def translate(module: Translator, sources: list[str], beam: int) -> list[str]:
    """Return the best translation of each raw sentence."""
    return [hypotheses[0][0] for hypotheses in module.predict(prepare(sources, module.facts), beam=beam)]


def draw_attention(module: Translator, items: pd.DataFrame, path: Path, sentences: int = 4) -> None:
    """Draw the attention maps of a few test sentences. All models of a dataset use the same sentences."""
    medium = items[items["words"].between(*items["words"].quantile([0.4, 0.7]))]
    chosen = medium["source"].iloc[np.linspace(0, len(medium) - 1, sentences).astype(int)]
    maps = [module.attention(ids) for ids in prepare(list(chosen), module.facts)]
    drawable = [attention_map for attention_map in maps if attention_map is not None]
    if drawable:
        plots.draw_attention(drawable, path)
