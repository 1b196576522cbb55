"""Test the bootstrap of the promotion gate: the resampled units, the error rate on simulated gates, and the power."""

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import yaml

from lectern.errors import UserError
from lectern.registry.bootstrap import estimate_improvement, number_units
from lectern.task_modules import task_module

ROOT = Path(__file__).parents[1]
NOISE = yaml.safe_load((ROOT / "conf/gate.yaml").read_text())["noise"]


def load_simulation():
    """Load the script `bench/gate_simulation.py`."""
    spec = importlib.util.spec_from_file_location("gate_simulation", ROOT / "bench/gate_simulation.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


simulation = load_simulation()
ACCURACY = SimpleNamespace(
    statistics=lambda items: items[["correct"]].assign(images=1).astype(float),
    score_sums=lambda sums: sums["correct"] / sums["images"],
)


def make_items(correct: np.ndarray, group: int | np.ndarray = 0) -> pd.DataFrame:
    return pd.DataFrame({"item": np.arange(len(correct)), "group": group, "correct": correct})


def draw_correct(probability: float, count: int = 2000, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(count) < probability


def improvement(candidate: pd.DataFrame, champion: pd.DataFrame, direction: int = 1, **changes):
    return estimate_improvement(candidate, champion, ACCURACY, direction, **NOISE | changes)


# Units

TEST_SETS = {  # the group of each item, and the expected number of units, for several test sets
    "300 images without writers": (np.zeros(300), 30),
    "two drives": (np.repeat([4, 10], 300), 30),
    "1,000 sentences": (np.arange(1000), 1000),
    "one long and 39 short works": (np.repeat(np.arange(40), [961, *[1] * 39]), 68),
    "12 items": (np.zeros(12), 12),
}


@pytest.mark.parametrize("name", TEST_SETS)
def test_units_are_consecutive_items_of_one_group_and_at_least_30(name):
    groups, expected = TEST_SETS[name]
    numbers = number_units(make_items(np.zeros(len(groups)), groups))
    units = [np.flatnonzero(numbers == number) for number in range(numbers.max() + 1)]
    assert len(units) == expected >= min(30, len(groups))
    assert sorted(np.concatenate(units)) == list(range(len(groups)))
    assert all(len(set(groups[rows])) == 1 and (np.diff(rows) == 1).all() for rows in units)
    assert max(map(len, units)) <= max(1, -(-len(groups) // 30))


def test_items_without_groups_are_one_group():
    items = make_items(draw_correct(0.9))
    assert (number_units(items.drop(columns="group")) == number_units(items)).all() and number_units(items).max() == 29


@pytest.mark.parametrize("kind", simulation.KINDS, ids=lambda kind: kind.title)
def test_each_task_computes_its_score_from_sums(kind):
    report = task_module(kind.task, "report.evaluate")
    items, _ = kind.draw(np.random.default_rng(0), 0.0)
    expected = report.score(items.iloc[100:250])
    assert report.score_sums(report.statistics(items)[100:250].sum().to_dict()) == pytest.approx(expected)


# Intervals


def test_a_clear_gain_is_above_zero_and_a_clear_loss_is_below():
    worse, better = make_items(draw_correct(0.90)), make_items(draw_correct(0.90) | draw_correct(0.5, seed=1))
    assert improvement(better, worse).low > 0 and improvement(worse, better).high < 0
    assert improvement(worse, better, direction=-1).low > 0


def test_a_gain_of_one_item_is_noise():
    champion = draw_correct(0.90)
    candidate = champion.copy()
    candidate[np.flatnonzero(~champion)[0]] = True
    assert improvement(make_items(candidate), make_items(champion)).low < 0


def test_a_gain_in_one_group_is_noise():
    champion = draw_correct(0.5)
    candidate = champion.copy()
    candidate[:60] = True
    by_item, by_group = np.arange(2000), np.arange(2000) // 60
    assert improvement(make_items(candidate, by_item), make_items(champion, by_item)).low > 0
    assert improvement(make_items(candidate, by_group), make_items(champion, by_group)).low < 0


def test_the_bootstrap_is_deterministic():
    candidate, champion = make_items(draw_correct(0.9)), make_items(draw_correct(0.9, seed=5))
    assert improvement(candidate, champion) == improvement(candidate, champion)


def test_a_single_item_has_an_interval_of_one_unit():
    assert improvement(make_items(np.array([True])), make_items(np.array([False]))).units == 1


def test_scores_on_different_items_cannot_be_compared():
    with pytest.raises(UserError, match="scored on different test items"):
        improvement(make_items(draw_correct(0.9)), make_items(draw_correct(0.9, 1990)))


# Simulated gates, a small form of bench/gate_simulation.py


FAST = [kind for kind in simulation.KINDS if kind.title[:3] in ("300", "600")]


@pytest.mark.parametrize("kind", FAST, ids=lambda kind: kind.title)
def test_at_most_5_percent_of_equally_good_candidates_are_called_better(kind):
    share, units = simulation.share_called_better(kind, 0.0, 200, 0, NOISE | {"resamples": 100})
    assert share <= 0.05 and units >= 30


@pytest.mark.slow
@pytest.mark.parametrize("kind", simulation.KINDS, ids=lambda kind: kind.title)
@pytest.mark.nightly
def test_at_most_5_percent_of_equally_good_candidates_are_called_better_on_any_test_set(kind):
    assert simulation.share_called_better(kind, 0.0, 200, 0, NOISE)[0] <= 0.05


@pytest.mark.parametrize("kind", simulation.KINDS, ids=lambda kind: kind.title)
def test_a_candidate_better_by_a_quarter_is_called_better_in_most_gates(kind):
    share, _ = simulation.share_called_better(kind, 0.25, 5, 0, NOISE | {"resamples": 100})
    assert share >= 0.8
