"""A trained translator and the raw tests to scores, a row a sentence, and pictures of where it errs and looks."""

from pathlib import Path

import numpy as np
import pandas as pd

from lectern.processed import read_facts, write_json
from lectern.translation import floors, pictures, scoring
from lectern.translation.preprocess import prepare
from lectern.translation.scoring import interval, score, tabulate

BEAM = 5
__all__ = ["evaluate", "floor", "score"]


def evaluate(module, processed: Path, out: Path) -> dict[str, float]:
    """The data set's score with its 95 % interval, true-case BLEU, chrF and exact matches, all with a beam of 5."""
    facts, tests = read_facts(processed), read_tests(processed)
    found = {name: translate(module, sources, BEAM) for name, (sources, _) in tests.items()}
    details = {name: scoring.describe(found[name], references) for name, (_, references) in tests.items()}
    sources, references = tests[facts["scored_test"]]
    items = tabulate(facts["score"], sources, found[facts["scored_test"]], references)
    greedy = tabulate(facts["score"], sources, translate(module, sources, 1), references)
    more = {"score": score(items), "score_greedy": score(greedy), "floors": score_floors(processed)}
    items.to_parquet(out / "items.parquet", index=False)
    write_json(out / "details.json", details | more)
    pictures.draw_score_by_length({out.name: items}, out / "score_by_length.png")
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


def read_tests(processed: Path) -> dict[str, tuple[list[str], list[str]]]:
    """Raw sources and references of each test."""
    tests = pd.read_parquet(processed / "test.parquet").groupby("test", sort=False)
    return {name: (rows["source"].tolist(), rows["target"].tolist()) for name, rows in tests}


def translate(module, sources: list[str], beam: int) -> list[str]:
    """The best translation of each raw sentence."""
    return [best[0][0] for best in module.predict(prepare(sources, module.facts), beam=beam)]


def floor(processed: Path) -> float:
    """The better of two translations without a network: the source as it is, and word by word."""
    return max(score_floors(processed).values())


def score_floors(processed: Path) -> dict[str, float]:
    """The score of each floor, learned from the training split alone."""
    facts = read_facts(processed)
    train = pd.read_parquet(processed / "train.parquet", columns=["source", "target"])
    sources, references = read_tests(processed)[facts["scored_test"]]
    found = {"copy": floors.copy(sources), "word_by_word": floors.word_by_word(train, sources)}
    return {name: score(tabulate(facts["score"], sources, texts, references)) for name, texts in found.items()}


def draw_attention(module, items: pd.DataFrame, path: Path, sentences: int = 4) -> None:
    """Maps of a few sentences of middle length, the same ones for every model of a data set."""
    middle = items[items["words"].between(*items["words"].quantile([0.4, 0.7]))]
    chosen = middle["source"].iloc[np.linspace(0, len(middle) - 1, sentences).astype(int)]
    maps = [module.attention(ids) for ids in prepare(list(chosen), module.facts)]
    if maps[0] is not None:
        pictures.draw_attention(maps, path)
