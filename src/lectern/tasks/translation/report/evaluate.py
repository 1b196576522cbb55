"""A trained translator and the raw tests to scores, a row a sentence, and pictures of where it errs and looks."""

from pathlib import Path

import numpy as np
import pandas as pd

from lectern.artifacts.dataset import read_facts
from lectern.atomic import write_json
from lectern.tasks.translation.data.format.sentences import prepare
from lectern.tasks.translation.report import plots, scoring
from lectern.tasks.translation.report.baseline import read_tests, score_baselines
from lectern.tasks.translation.report.scoring import interval, score, tabulate

BEAM = 5
__all__ = ["evaluate", "baseline", "score"]


def evaluate(module, processed: Path, out: Path) -> dict[str, float]:
    """The data set's score with its 95 % interval, true-case BLEU, chrF and exact matches, all with a beam of 5."""
    facts, tests = read_facts(processed), read_tests(processed)
    found = {name: translate(module, sources, BEAM) for name, (sources, _) in tests.items()}
    details = {name: scoring.describe(found[name], references) for name, (_, references) in tests.items()}
    sources, references = tests[facts["scored_test"]]
    items = tabulate(facts["score"], sources, found[facts["scored_test"]], references)
    greedy = tabulate(facts["score"], sources, translate(module, sources, 1), references)
    more = {"score": score(items), "score_greedy": score(greedy), "baselines": score_baselines(processed)}
    items.to_parquet(out / "items.parquet", index=False)
    write_json(out / "details.json", details | more)
    plots.draw_score_by_length({out.name: items}, out / "score_by_length.png")
    draw_attention(module, items, out / "attention.png")
    return summarise(items, details[facts["scored_test"]])


def measure(module, processed: Path) -> pd.DataFrame:
    """The items alone: all that the gate asks for."""
    facts = read_facts(processed)
    sources, references = read_tests(processed)[facts["scored_test"]]
    return tabulate(facts["score"], sources, translate(module, sources, BEAM), references)


def summarise(items: pd.DataFrame, details: dict) -> dict[str, float]:
    """The few numbers that versions are compared by."""
    low, high = interval(items)
    others = {"bleu_true_case": "bleu_true_case_detokenised", "chrf": "chrf", "exact_match": "exact_match"}
    return {
        "score": score(items),
        "score_low": low,
        "score_high": high,
        **{name: details[key] for name, key in others.items()},
    }


def translate(module, sources: list[str], beam: int) -> list[str]:
    """The best translation of each raw sentence."""
    return [best[0][0] for best in module.predict(prepare(sources, module.facts), beam=beam)]


def draw_attention(module, items: pd.DataFrame, path: Path, sentences: int = 4) -> None:
    """Maps of a few sentences of middle length, the same ones for every model of a data set."""
    middle = items[items["words"].between(*items["words"].quantile([0.4, 0.7]))]
    chosen = middle["source"].iloc[np.linspace(0, len(middle) - 1, sentences).astype(int)]
    maps = [module.attention(ids) for ids in prepare(list(chosen), module.facts)]
    if maps[0] is not None:
        plots.draw_attention(maps, path)
