"""A candidate's and the champion's scores on the same test items to rules, each passed or not, with its figures."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lectern.errors import UserError

Score = Callable[[pd.DataFrame], float]


@dataclass(frozen=True)
class Rule:
    """One question of the gate and its answer."""

    name: str
    passed: bool
    reason: str


def above_baseline(score: float, baseline: float, sign: int) -> Rule:
    """Better than the trivial baseline of the data set; `sign` is 1 where higher is better, else -1."""
    return Rule("above the baseline", sign * (score - baseline) > 0, f"score {score:.4f}, baseline {baseline:.4f}")


def reproduces_score(recorded: float, measured: float, tolerance: float) -> Rule:
    """The version's own files give the score that it claims."""
    said = f"recorded {recorded:.4f}, measured now {measured:.4f}"
    return Rule("reproduces its score", abs(recorded - measured) <= tolerance * max(1.0, abs(recorded)), said)


def better_than_noise(
    candidate: pd.DataFrame,
    champion: pd.DataFrame,
    score: Score,
    sign: int,
    confidence: float,
    resamples: int,
    seed: int,
) -> Rule:
    """The interval of the difference over resampled blocks lies on the better side of zero."""
    gains = sign * bootstrap_differences(candidate, champion, score, resamples, seed)
    low, high = np.quantile(gains, [(1 - confidence) / 2, (1 + confidence) / 2])
    now, before = score(candidate), score(champion)
    told = (
        f"score {now:.4f}, champion {before:.4f}; better by {low:+.4f} to {high:+.4f} in {confidence:.0%} of resamples"
    )
    return Rule("better than the champion by more than noise", bool(low > 0), told)


def bootstrap_differences(
    candidate: pd.DataFrame, champion: pd.DataFrame, score: Score, resamples: int, seed: int
) -> np.ndarray:
    """Candidate's score less the champion's in each resample: a paired bootstrap (Koehn 2004, W04-3250).

    Blocks are drawn and not items: neighbouring frames, lines and digits of one writer are not independent.
    """
    if not candidate["item"].equals(champion["item"]):
        raise UserError("The candidate and the champion were not scored on the same items; evaluate both again.")
    blocks = [rows for rows in candidate.groupby("block").indices.values()]
    random = np.random.default_rng(seed)
    found = []
    for _ in range(resamples):
        rows = np.concatenate([blocks[block] for block in random.integers(len(blocks), size=len(blocks))])
        found.append(score(candidate.iloc[rows]) - score(champion.iloc[rows]))
    return np.array(found)


def cost_within_factor(
    name: str, now: float, before: float, factor: int | float, unfelt: int | float, reason: str
) -> Rule:
    """A guarded cost (lower is better) has not grown beyond a factor, or by so little that nobody feels it."""
    passed = now <= before * factor or now - before <= unfelt
    return Rule(f"{name} within {factor:g} times", passed, f"{now:.4g}, champion {before:.4g}; {reason}")


def metric_within_tolerance(
    name: str, now: float, before: float, tolerance: int | float, better: str, reason: str
) -> Rule:
    """A guarded metric has not fallen (`better: higher`) or risen (`better: lower`) by more than its tolerance."""
    loss = before - now if better == "higher" else now - before
    told = f"{now:.4f}, champion {before:.4f}; {reason}"
    return Rule(f"{name} no worse by more than {tolerance:g}", loss <= tolerance, told)
