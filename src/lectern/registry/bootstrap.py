"""Estimate with a paired bootstrap how much better the score of a candidate is than the score of the champion.

Neighbouring test items are not independent, for example frames of a drive, lines of a work, or digits of a writer. The
bootstrap therefore resamples units, which are blocks of consecutive items (Kuensch 1989; Politis and Romano 1994).
Candidate and champion are scored on the same resamples (Koehn 2004, W04-3250). If a drive or work is cut into several
units, neighbouring units are resampled together.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import pandas as pd
from scipy.stats import t as student

from lectern.errors import UserError

UNITS = 30  # minimum number of units; fewer units are longer and less correlated, but their spread is too uncertain
RUN_LENGTH = 3  # number of neighbouring units that are resampled together if a group is cut into several units


@runtime_checkable
class Scoring(Protocol):
    """The two functions of a task's module `report.evaluate` that compute the score from sums over the test items."""

    def statistics(self, items: pd.DataFrame) -> pd.DataFrame: ...

    def score_sums(self, sums: Mapping[str, float]) -> float: ...


@dataclass(frozen=True)
class Improvement:
    """The confidence interval of the candidate's improvement in score over the champion.

    If the complete interval is above zero, the candidate is better.
    """

    low: float
    high: float
    units: int  # number of resampled units
    confidence: float
    resamples: int


def estimate_improvement(
    candidate: pd.DataFrame,
    champion: pd.DataFrame,
    scoring: Scoring,
    direction: int,
    confidence: float,
    resamples: int,
    seed: int,
) -> Improvement:
    """Return the confidence interval of the candidate's improvement over the champion.

    The half-width of the interval is the bootstrap's standard error multiplied by a quantile of Student's t
    distribution. With few units, the quantiles of the resampled differences would give an interval that is too narrow
    (Hesterberg 2015, arXiv:1411.5279).
    """
    check_same_items(candidate, champion)
    units = number_units(candidate)
    new, old = (sum_by_unit(scoring.statistics(items), units) for items in (candidate, champion))
    observed = direction * (scoring.score_sums(new.sum().to_dict()) - scoring.score_sums(old.sum().to_dict()))
    length = run_length(candidate, units)
    runs, half_width = len(new) // length, 0.0
    if runs > 1:
        weights = resample_runs(len(new), length, resamples, seed)
        differences = score_resamples(new, weights, scoring) - score_resamples(old, weights, scoring)
        # A resample contains runs * length units instead of len(new) units.
        # The factor runs / (runs - 1) corrects the bias of the variance.
        scale = np.sqrt(runs * length / len(new) * runs / (runs - 1))
        half_width = float(student.ppf((1 + confidence) / 2, runs - 1) * differences.std() * scale)
    return Improvement(observed - half_width, observed + half_width, len(new), confidence, resamples)


def check_same_items(candidate: pd.DataFrame, champion: pd.DataFrame) -> None:
    if not candidate["item"].equals(champion["item"]):
        raise UserError(
            "The candidate and the champion were scored on different test items, "
            "so their scores cannot be compared. "
            "Evaluate and register the candidate and the champion again."
        )


def number_units(items: pd.DataFrame) -> np.ndarray:
    """Return for each test item the index of its bootstrap unit.

    A group contains all items of one drive, one work or one source sentence. A group with at most 1/30 of the items is
    one unit. A larger group is cut into several units of consecutive items. There are at least 30 units if there are at
    least 30 items. If there is no column `group`, all items are one group, because each item may depend on its
    neighbours.
    """
    groups = pd.factorize(items["group"])[0] if "group" in items else np.zeros(len(items), int)
    sizes = np.bincount(groups)[groups]
    position = pd.Series(groups).groupby(groups).cumcount().to_numpy()
    parts = np.minimum(-(-UNITS * sizes // len(items)), sizes)  # per group, rounded up
    units: np.ndarray = pd.factorize(groups * len(items) + position * parts // sizes)[0]
    return units


def sum_by_unit(statistics: pd.DataFrame, units: np.ndarray) -> pd.DataFrame:
    """Return one row per bootstrap unit. A row contains the sums of the statistics over the items of the unit."""
    sums = np.zeros((units.max() + 1, statistics.shape[1]))
    np.add.at(sums, units, statistics.to_numpy(np.float64))
    return pd.DataFrame(sums, columns=statistics.columns)


def run_length(items: pd.DataFrame, units: np.ndarray) -> int:
    """Return how many neighbouring bootstrap units are resampled together.

    The number is 1 if no group is cut into several units.
    """
    groups = items["group"].nunique() if "group" in items else 1
    return RUN_LENGTH if units.max() + 1 > groups else 1


def resample_runs(count: int, length: int, resamples: int, seed: int) -> np.ndarray:
    """Return how often each resample contains each bootstrap unit, as an array of shape (resamples, count).

    Each resample draws sequences of `length` neighbouring units. The first unit counts as the neighbour of the last
    unit.
    """
    starts = np.random.default_rng(seed).multinomial(count // length, np.full(count, 1 / count), resamples)
    weights: np.ndarray = np.sum([np.roll(starts, shift, axis=1) for shift in range(length)], axis=0)
    return weights


def score_resamples(table: pd.DataFrame, weights: np.ndarray, scoring: Scoring) -> np.ndarray:
    """Return the score of each resample.

    Row i of `weights` states how often resample i contains each bootstrap unit.
    """
    names, sums = list(table.columns), weights @ table.to_numpy()
    return np.array([scoring.score_sums(dict(zip(names, row, strict=True))) for row in sums.tolist()])
