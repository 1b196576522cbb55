"""The gate's rules on tables of items."""

import numpy as np
import pandas as pd
import pytest

from lectern.errors import UserError
from lectern.registry.gate_rules import (
    above_baseline,
    better_than_noise,
    bootstrap_differences,
    cost_within_factor,
    metric_within_tolerance,
    reproduces_score,
)

ASK = {"confidence": 0.95, "resamples": 400, "seed": 7}


def items(right: np.ndarray, block: int = 10) -> pd.DataFrame:
    number = np.arange(len(right))
    return pd.DataFrame({"item": number, "block": number // block, "correct": right})


def accuracy(table: pd.DataFrame) -> float:
    return float(table["correct"].mean())


def draw(share: float, count: int = 2000, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(count) < share


def test_a_clear_gain_passes_and_its_mirror_does_not():
    worse, better = items(draw(0.90)), items(draw(0.90) | draw(0.5, seed=1))
    assert better_than_noise(better, worse, accuracy, 1, **ASK).passed
    assert not better_than_noise(worse, better, accuracy, 1, **ASK).passed


def test_lower_is_better_turns_the_question_round():
    worse, better = items(draw(0.90)), items(draw(0.5))
    assert better_than_noise(better, worse, accuracy, -1, **ASK).passed


def test_one_lucky_item_is_noise():
    champion = draw(0.90)
    candidate = champion.copy()
    candidate[np.flatnonzero(~champion)[0]] = True
    rule = better_than_noise(items(candidate), items(champion), accuracy, 1, **ASK)
    assert not rule.passed and "+0.0000" in rule.reason


def test_a_gain_inside_one_block_is_noise_however_many_items_it_has():
    champion = draw(0.5)
    candidate = champion.copy()
    candidate[:200] = True  # one block of 200 in ten: a resample without it shows nothing
    by_item = better_than_noise(items(candidate, 1), items(champion, 1), accuracy, 1, **ASK)
    by_block = better_than_noise(items(candidate, 200), items(champion, 200), accuracy, 1, **ASK)
    assert by_item.passed and not by_block.passed


def test_the_same_question_gets_the_same_figures():
    one, two = items(draw(0.9)), items(draw(0.9, seed=5))
    first, second = (bootstrap_differences(one, two, accuracy, 50, 3) for _ in range(2))
    assert (first == second).all()


def test_other_items_cannot_be_compared():
    with pytest.raises(UserError, match="same items"):
        bootstrap_differences(items(draw(0.9)), items(draw(0.9, 1990)), accuracy, 10, 0)


def test_the_floor_itself_is_not_above_the_floor():
    assert not above_baseline(0.5, 0.5, 1).passed
    assert above_baseline(0.4, 0.5, -1).passed and not above_baseline(0.6, 0.5, -1).passed


def test_a_score_that_its_files_do_not_give_is_refused():
    assert reproduces_score(0.9871, 0.9871, 0.0005).passed
    assert not reproduces_score(0.9871, 0.9801, 0.0005).passed


def test_a_cost_may_grow_to_its_factor_and_not_beyond():
    assert cost_within_factor("latency", 2.0, 1.0, 2.0, 0.1, "felt").passed
    assert not cost_within_factor("latency", 2.1, 1.0, 2.0, 0.1, "felt").passed


def test_a_growth_that_nobody_feels_never_counts():
    assert cost_within_factor("latency", 0.009, 0.001, 2.0, 0.1, "felt").passed


@pytest.mark.parametrize(("better", "now"), [("higher", 0.85), ("lower", 0.95)])
def test_a_guarded_metric_may_lose_its_tolerance_and_no_more(better, now):
    worse = 2 * now - 0.9  # twice as far from the champion's
    assert metric_within_tolerance("recall", now, 0.9, 0.0501, better, "felt").passed
    assert not metric_within_tolerance("recall", worse, 0.9, 0.0501, better, "felt").passed
    assert metric_within_tolerance("recall", 1.8 - now, 0.9, 0.0, better, "felt").passed
