"""Estimate by a paired bootstrap how much better a score is, from tables with one row per test item.

Neighboring items are not independent: frames of a drive, lines of a work, digits of a writer. The bootstrap therefore
resamples units of consecutive items (Kuensch 1989; Politis and Romano 1994), the same units for both models (Koehn
2004, W04-3250).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import pandas as pd
from scipy.stats import t as student

from lectern.errors import UserError

UNITS = 30  # long units contain the correlation of neighbours; with fewer units, their spread is too uncertain


@runtime_checkable
class Scoring(Protocol):
    """How a task computes its score from sums over items. A task's module `report.evaluate` has both functions."""

    def statistics(self, items: pd.DataFrame) -> pd.DataFrame: ...

    def score_sums(self, sums: Mapping[str, float]) -> float: ...


@dataclass(frozen=True)
class Improvement:
    """The confidence interval of an improvement: above zero if the candidate is better."""

    low: float
    high: float
    units: int  # that were resampled
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

    The interval has the bootstrap's standard error and the quantiles of Student's t distribution. The quantiles of few
    resampled units would give an interval that is too narrow (Hesterberg 2015, arXiv:1411.5279).
    """
    check_same_items(candidate, champion)
    units = split_into_units(candidate)
    new, old = (sum_by_unit(scoring.statistics(items), units) for items in (candidate, champion))
    observed = direction * (scoring.score_sums(new.sum().to_dict()) - scoring.score_sums(old.sum().to_dict()))
    half_width = 0.0
    if len(units) > 1:
        differences = bootstrap_differences(new, old, scoring, resamples, seed)
        quantile = student.ppf((1 + confidence) / 2, len(units) - 1)
        half_width = float(quantile * differences.std() * np.sqrt(len(units) / (len(units) - 1)))
    return Improvement(observed - half_width, observed + half_width, len(units), confidence, resamples)


def check_same_items(candidate: pd.DataFrame, champion: pd.DataFrame) -> None:
    if not candidate["item"].equals(champion["item"]):
        raise UserError(
            "The candidate and the champion were scored on different test items, so they cannot be compared. "
            "Evaluate and register both again."
        )


def split_into_units(items: pd.DataFrame) -> list[np.ndarray]:
    """Return the row numbers of each unit.

    A unit is a group of items: all items of the same drive, work or source sentence. A group with more than 1/30 of
    the items is cut into equal parts of consecutive items, so that there are at least 30 units. Without a column
    `group`, all items are one group, because each item may depend on its neighbours.
    """
    groups = items["group"] if "group" in items else pd.Series(0, index=items.index)
    rows = groups.groupby(groups, sort=False)
    sizes = rows.transform("size")
    parts = -(-UNITS * sizes // len(items))  # rounded up
    part = rows.cumcount() * parts.clip(upper=sizes) // sizes
    return list(groups.groupby([groups, part], sort=False).indices.values())


def sum_by_unit(statistics: pd.DataFrame, units: list[np.ndarray]) -> pd.DataFrame:
    """Return one row per unit with the sums over its items."""
    values = statistics.to_numpy(np.float64)
    return pd.DataFrame([values[rows].sum(0) for rows in units], columns=statistics.columns)


def bootstrap_differences(
    candidate: pd.DataFrame, champion: pd.DataFrame, scoring: Scoring, resamples: int, seed: int
) -> np.ndarray:
    """Return the candidate's score minus the champion's in each resample of the units (one row of sums per unit)."""
    count = len(candidate)
    weights = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), resamples)
    new, old = (score_resamples(table, weights, scoring) for table in (candidate, champion))
    differences: np.ndarray = new - old
    return differences


def score_resamples(table: pd.DataFrame, weights: np.ndarray, scoring: Scoring) -> np.ndarray:
    """Return the score of each resample. Its row of `weights` contains how often it has each unit."""
    sums = weights @ table.to_numpy()
    return np.array([scoring.score_sums(dict(zip(table.columns, row, strict=True))) for row in sums.tolist()])
