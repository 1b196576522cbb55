"""Estimate with a paired bootstrap how much better one score is than another.

Neighbouring items are not independent. Examples are frames of a drive, lines of a work, or digits of a writer. The
bootstrap therefore resamples units of consecutive items (Kuensch 1989; Politis and Romano 1994). The same units are
used for both models (Koehn 2004, W04-3250). Neighbouring units that are parts of one group are resampled together.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import pandas as pd
from scipy.stats import t as student

from lectern.errors import UserError

UNITS = 30  # long units contain the correlation of neighbours, but the spread of fewer units is too uncertain
RUN_LENGTH = 3  # number of neighbouring units that are resampled together if they are parts of one group


@runtime_checkable
class Scoring(Protocol):
    """The two functions with which a task computes its score from sums over items.

    The module `report.evaluate` of the task defines both.
    """

    def statistics(self, items: pd.DataFrame) -> pd.DataFrame: ...

    def score_sums(self, sums: Mapping[str, float]) -> float: ...


@dataclass(frozen=True)
class Improvement:
    """The confidence interval of the improvement in score.

    An interval above zero means that the candidate is better.
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
    distribution. The quantiles of few resampled units would give an interval that is too narrow (Hesterberg 2015,
    arXiv:1411.5279).
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
        # Corrects for the size of a resample and for a small sample.
        scale = np.sqrt(runs * length / len(new) * runs / (runs - 1))
        half_width = float(student.ppf((1 + confidence) / 2, runs - 1) * differences.std() * scale)
    return Improvement(observed - half_width, observed + half_width, len(new), confidence, resamples)


def check_same_items(candidate: pd.DataFrame, champion: pd.DataFrame) -> None:
    if not candidate["item"].equals(champion["item"]):
        raise UserError(
            "The candidate and the champion were scored on different test items, so they cannot be compared. "
            "Evaluate and register both versions again."
        )


def number_units(items: pd.DataFrame) -> np.ndarray:
    """Return for each item the number of its unit, starting at 0.

    A unit is a group of items: all items of the same drive, work or source sentence. A group with more than 1/30 of the
    items is cut into equal parts of consecutive items. The result is at least 30 units. If there is no column `group`,
    all items are one group, because each item may depend on its neighbours.
    """
    groups = pd.factorize(items["group"])[0] if "group" in items else np.zeros(len(items), int)
    sizes = np.bincount(groups)[groups]
    position = pd.Series(groups).groupby(groups).cumcount().to_numpy()
    parts = np.minimum(-(-UNITS * sizes // len(items)), sizes)  # per group, rounded up
    units: np.ndarray = pd.factorize(groups * len(items) + position * parts // sizes)[0]
    return units


def sum_by_unit(statistics: pd.DataFrame, units: np.ndarray) -> pd.DataFrame:
    """Return the sums of the statistics over the items of each unit, with one row per unit."""
    sums = np.zeros((units.max() + 1, statistics.shape[1]))
    np.add.at(sums, units, statistics.to_numpy(np.float64))
    return pd.DataFrame(sums, columns=statistics.columns)


def run_length(items: pd.DataFrame, units: np.ndarray) -> int:
    """Return how many neighbouring units are resampled together. The number is 1 if every unit is a complete group."""
    groups = items["group"].nunique() if "group" in items else 1
    return RUN_LENGTH if units.max() + 1 > groups else 1


def resample_runs(count: int, length: int, resamples: int, seed: int) -> np.ndarray:
    """Return how often each resample has each of `count` units, as an array of shape (resamples, count).

    A resample consists of runs of `length` neighbouring units. The first unit counts as the neighbour of the last unit.
    """
    starts = np.random.default_rng(seed).multinomial(count // length, np.full(count, 1 / count), resamples)
    weights: np.ndarray = np.sum([np.roll(starts, shift, axis=1) for shift in range(length)], axis=0)
    return weights


def score_resamples(table: pd.DataFrame, weights: np.ndarray, scoring: Scoring) -> np.ndarray:
    """Return the score of each resample. A row of `weights` contains how often this resample contains each unit."""
    names, sums = list(table.columns), weights @ table.to_numpy()
    return np.array([scoring.score_sums(dict(zip(names, row, strict=True))) for row in sums.tolist()])
