"""Simulate promotion gates on test sets of each kind: python bench/gate_simulation.py

Prints how often the gate calls a candidate better if both models are equally good, and if the candidate is truly better
by 1 % or 5 %. The percentages are percentage points of accuracy, or percent of the loss, the RMSE or BLEU.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import pandas as pd
import yaml

from lectern.artifacts.paths import GATE_CONFIG
from lectern.registry.bootstrap import Improvement, estimate_improvement
from lectern.registry.gate_rules import better_than_noise
from lectern.registry.score_unit import ScoreUnit
from lectern.task_modules import task_module

Tables = tuple[pd.DataFrame, pd.DataFrame]  # the items of the candidate and of the champion
GAINS = (0.0, 0.01, 0.05)


@dataclass(frozen=True)
class Kind:
    """A kind of test set."""

    title: str
    task: str
    direction: int
    draw: Callable[[np.random.Generator, float], Tables]  # the items of two models for a true gain


def draw_predictions(random: np.random.Generator, gain: float, writers: int, items: int, accuracy: float) -> Tables:
    """Draw classified items whose difficulty depends on the item and, if writers have several items, on the writer.

    The correctness depends on a difficulty that both models share, and on an additional difficulty for each model.
    """
    writer = np.repeat(np.arange(writers), items // writers)
    spread = 0.3 if writers < items else 0.0  # spread of the writers in the shared and in the additional difficulty
    shared = random.normal(0, 0.8, items) + random.normal(0, spread, writers)[writer]
    deviation = np.sqrt(0.8**2 + 0.4**2 + 2 * spread**2)

    def correct(share: float) -> np.ndarray:
        own = random.normal(0, 0.4, items) + random.normal(0, spread, writers)[writer]
        return shared + own < deviation * NormalDist().inv_cdf(share)

    columns = {"item": np.arange(items), "group": 0}
    return tuple(pd.DataFrame(columns | {"correct": correct(min(accuracy + by, 0.9999))}) for by in (gain, 0.0))


def draw_frames(random: np.random.Generator, gain: float, runs: int, frames: int) -> Tables:
    """Draw the errors of two models on correlated frames. Half of the error is common. Bends increase all errors."""
    bend = np.exp(0.9 * draw_correlated(random, runs, frames, length=20))
    shared = draw_correlated(random, runs, frames, length=3)

    def square(scale: float) -> np.ndarray:
        return np.square(scale * bend * (shared + draw_correlated(random, runs, frames, length=3)))

    items = {"item": np.arange(runs * frames), "group": np.repeat(np.arange(runs), frames)}
    return tuple(pd.DataFrame(items | {"squared_error": square(1 - by)}) for by in (gain, 0.0))


def draw_correlated(random: np.random.Generator, runs: int, frames: int, length: int) -> np.ndarray:
    """Draw an autoregressive series per run. The correlation falls to 1/e after `length` frames."""
    keep = np.exp(-1 / length)
    noise = random.normal(size=(runs, frames))
    noise[:, 1:] *= np.sqrt(1 - keep**2)
    for frame in range(1, frames):
        noise[:, frame] += keep * noise[:, frame - 1]
    return noise.ravel()


def draw_lines(random: np.random.Generator, gain: float, lines: int, scene: int) -> Tables:
    """Draw the losses of two models on lines of 30 characters. Each model finds some scenes easier than the other.

    A scene has `scene` lines on average. The spreads are those of two 5-gram models of Shakespeare's plays on Hamlet.
    """
    ends = np.sort(random.choice(lines, lines // scene - 1, replace=False))
    scenes = np.searchsorted(ends, np.arange(lines), side="right")
    loss = 54 + 12 * random.standard_t(5, lines)

    def nats(scale: float) -> np.ndarray:
        return scale * loss + random.normal(0, 5.2, lines) + random.normal(0, 0.35, lines // scene)[scenes]

    items = {"item": np.arange(lines), "group": 0, "characters": 30}
    return tuple(pd.DataFrame(items | {"nats": nats(1 - by)}) for by in (gain, 0.0))


def draw_sentences(random: np.random.Generator, gain: float, sentences: int) -> Tables:
    """Draw the n-gram counts of independent sentences, from which BLEU is computed."""
    lengths = random.integers(6, 20, sentences)
    quality = random.normal(0, 0.12, sentences)

    def count(factor: float) -> pd.DataFrame:
        chance = np.clip(factor * (0.78 + quality + random.normal(0, 0.08, sentences)), 0.05, 0.99)
        columns = {"translation_length": lengths, "reference_length": lengths}
        for order in range(1, 5):
            ngrams = lengths - order + 1
            columns |= {f"ngrams_{order}": ngrams, f"matches_{order}": random.binomial(ngrams, chance**order)}
        return pd.DataFrame({"item": np.arange(sentences), "group": np.arange(sentences), "measure": "bleu"} | columns)

    return count((1 + gain) ** 0.4), count(1.0)  # the mean order is 2.5


KINDS = (
    Kind("300 digits, independent", "digits", 1, lambda r, gain: draw_predictions(r, gain, 300, 300, 0.93)),
    Kind("1,821 sentences, independent", "sentences", 1, lambda r, gain: draw_predictions(r, gain, 1821, 1821, 0.82)),
    Kind("10,000 digits of 50 writers", "digits", 1, lambda r, gain: draw_predictions(r, gain, 50, 10000, 0.95)),
    Kind("600 frames of two drives", "steering", -1, lambda r, gain: draw_frames(r, gain, 2, 300)),
    Kind("1,664 frames of four drives", "steering", -1, lambda r, gain: draw_frames(r, gain, 4, 416)),
    Kind("6,000 lines of one play", "language_model", -1, lambda r, gain: draw_lines(r, gain, 6000, 150)),
    Kind("1,000 sentences", "translation", 1, lambda r, gain: draw_sentences(r, gain, 1000)),
)


def compare(kind: Kind, random: np.random.Generator, gain: float, noise: dict[str, float]) -> Improvement:
    """Return the interval of one simulated gate."""
    report = task_module(kind.task, "report.evaluate")
    return estimate_improvement(*kind.draw(random, gain), report, kind.direction, **noise)


def share_called_better(kind: Kind, gain: float, gates: int, seed: int, noise: dict[str, float]) -> tuple[float, int]:
    """Return the share of the gates in which the candidate is called better, and the number of resampled units."""
    random = np.random.default_rng(seed)
    results = [compare(kind, random, gain, noise) for _ in range(gates)]
    rules = [better_than_noise(0, 0, result, kind.direction, ScoreUnit()) for result in results]
    return sum(rule.passed for rule in rules) / gates, results[0].units


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gates", type=int, default=200, help="simulated gates per cell of the table")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    noise = yaml.safe_load(GATE_CONFIG.read_text())["noise"]
    print("| test set | units | equally good | better by 1 % | better by 5 % |\n| --- | ---: | ---: | ---: | ---: |")
    for kind in KINDS:
        cells = [share_called_better(kind, gain, arguments.gates, arguments.seed, noise) for gain in GAINS]
        shares = " | ".join(f"{share:.1%}" for share, _ in cells)
        print(f"| {kind.title} | {cells[0][1]:,} | {shares} |", flush=True)


if __name__ == "__main__":
    main()
