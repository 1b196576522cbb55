"""Define the rules of the promotion gate. Each rule passes or fails and states its numbers."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lectern.errors import UserError
from lectern.registry.score_unit import ScoreUnit

Score = Callable[[pd.DataFrame], float]
COST_FORMATS = {"latency": "{:.4f} s", "size": "{:,.0f} bytes"}


@dataclass(frozen=True)
class Rule:
    """The result of one rule of the gate."""

    name: str
    passed: bool
    reason: str


def above_baseline(score: float, baseline: float, direction: int, unit: ScoreUnit) -> Rule:
    """Check that a score is better than the dataset's trivial baseline.

    `direction` is 1 if a higher score is better, -1 if a lower score is better.
    """
    passed = direction * (score - baseline) > 0
    return Rule("above the baseline", passed, f"score {score:.4f}, baseline {baseline:.4f} ({unit})")


def reproduces_score(recorded: float, measured: float, tolerance: float, unit: ScoreUnit) -> Rule:
    """Check that the files of a version reach the score recorded for it."""
    passed = abs(recorded - measured) <= tolerance * max(1.0, abs(recorded))
    return Rule("reproduces its score", passed, f"recorded {recorded:.4f}, measured now {measured:.4f} ({unit})")


def better_than_noise(
    candidate: pd.DataFrame,
    champion: pd.DataFrame,
    score: Score,
    direction: int,
    unit: ScoreUnit,
    confidence: float,
    resamples: int,
    seed: int,
) -> Rule:
    """Check that the confidence interval of the improvement over the champion is above zero."""
    gains = direction * bootstrap_differences(candidate, champion, score, resamples, seed)
    low, high = np.quantile(gains, [(1 - confidence) / 2, (1 + confidence) / 2])
    reason = (
        f"score {score(candidate):.4f}, champion {score(champion):.4f} ({unit}); "
        f"better by {low:+.4f} to {high:+.4f} in {confidence:.0%} of resamples"
    )
    return Rule("better than the champion by more than noise", bool(low > 0), reason)


def bootstrap_differences(
    candidate: pd.DataFrame, champion: pd.DataFrame, score: Score, resamples: int, seed: int
) -> np.ndarray:
    """Return the candidate's score minus the champion's in each resample: a paired bootstrap (Koehn 2004, W04-3250).

    Blocks are resampled instead of items, because neighbouring frames or lines, or the digits of one writer, are not
    independent.
    """
    if not candidate["item"].equals(champion["item"]):
        raise UserError(
            "The candidate and the champion were scored on different test items, so they cannot be compared. "
            "Evaluate and register both again."
        )
    blocks = list(candidate.groupby("block").indices.values())
    random = np.random.default_rng(seed)
    differences = []
    for _ in range(resamples):
        rows = np.concatenate([blocks[block] for block in random.integers(len(blocks), size=len(blocks))])
        differences.append(score(candidate.iloc[rows]) - score(champion.iloc[rows]))
    return np.array(differences)


def cost_within_factor(
    name: str, cost: float, champion_cost: float, factor: int | float, absolute_slack: int | float, reason: str
) -> Rule:
    """Check that a cost has not grown beyond a factor of the champion's cost.

    An increase of at most `absolute_slack` always passes.
    """
    passed = cost <= champion_cost * factor or cost - champion_cost <= absolute_slack
    now, before = (COST_FORMATS[name].format(value) for value in (cost, champion_cost))
    return Rule(f"{name} within {factor:g} times", passed, f"{now}, champion {before}; {reason}")


def metric_within_tolerance(
    name: str, value: float, champion_value: float, tolerance: int | float, better: str, reason: str
) -> Rule:
    """Check that a metric is not worse than the champion's by more than a tolerance.

    `better` is "higher" or "lower".
    """
    loss = champion_value - value if better == "higher" else value - champion_value
    numbers = f"{value:.4f}, champion {champion_value:.4f}"
    return Rule(f"{name} no worse by more than {tolerance:g}", loss <= tolerance, f"{numbers}; {reason}")


def format_rules(rules: list[Rule]) -> list[str]:
    """Return one line per rule."""
    return [f"  {'pass' if rule.passed else 'FAIL'}  {rule.name}: {rule.reason}" for rule in rules]
