"""Test the rules of the promotion gate on small tables of items."""

import numpy as np
import pandas as pd
import pytest

from lectern.errors import UserError
from lectern.registry.gate_rules import (
    Rule,
    above_baseline,
    better_than_noise,
    bootstrap_differences,
    cost_within_factor,
    format_rules,
    metric_within_tolerance,
    reproduces_score,
)
from lectern.registry.score_unit import ScoreUnit, read_score_unit

UNIT = ScoreUnit("accuracy", "share of images")
NOISE = {"unit": UNIT, "confidence": 0.95, "resamples": 400, "seed": 7}


def make_items(correct: np.ndarray, block_size: int = 10) -> pd.DataFrame:
    number = np.arange(len(correct))
    return pd.DataFrame({"item": number, "block": number // block_size, "correct": correct})


def accuracy(items: pd.DataFrame) -> float:
    return float(items["correct"].mean())


def draw_correct(probability: float, count: int = 2000, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(count) < probability


def test_a_clear_gain_passes_and_a_clear_loss_fails():
    worse, better = make_items(draw_correct(0.90)), make_items(draw_correct(0.90) | draw_correct(0.5, seed=1))
    assert better_than_noise(better, worse, accuracy, 1, **NOISE).passed
    assert not better_than_noise(worse, better, accuracy, 1, **NOISE).passed


def test_a_lower_score_passes_if_lower_is_better():
    worse, better = make_items(draw_correct(0.90)), make_items(draw_correct(0.5))
    assert better_than_noise(better, worse, accuracy, -1, **NOISE).passed


def test_a_gain_of_one_item_is_noise():
    champion = draw_correct(0.90)
    candidate = champion.copy()
    candidate[np.flatnonzero(~champion)[0]] = True
    rule = better_than_noise(make_items(candidate), make_items(champion), accuracy, 1, **NOISE)
    assert not rule.passed and "+0.0000" in rule.reason


def test_a_gain_inside_one_block_is_noise():
    champion = draw_correct(0.5)
    candidate = champion.copy()
    candidate[:200] = True  # one block of ten; a resample without that block has no gain
    by_item = better_than_noise(make_items(candidate, 1), make_items(champion, 1), accuracy, 1, **NOISE)
    by_block = better_than_noise(make_items(candidate, 200), make_items(champion, 200), accuracy, 1, **NOISE)
    assert by_item.passed and not by_block.passed


def test_bootstrap_is_deterministic():
    candidate, champion = make_items(draw_correct(0.9)), make_items(draw_correct(0.9, seed=5))
    first, second = (bootstrap_differences(candidate, champion, accuracy, 50, 3) for _ in range(2))
    assert (first == second).all()


def test_scores_on_different_items_cannot_be_compared():
    with pytest.raises(UserError, match="scored on different test items"):
        bootstrap_differences(make_items(draw_correct(0.9)), make_items(draw_correct(0.9, 1990)), accuracy, 10, 0)


def test_a_score_equal_to_the_baseline_fails():
    assert not above_baseline(0.5, 0.5, 1, UNIT).passed
    assert above_baseline(0.4, 0.5, -1, UNIT).passed and not above_baseline(0.6, 0.5, -1, UNIT).passed


def test_a_score_that_differs_from_the_recorded_one_fails():
    assert reproduces_score(0.9871, 0.9871, 0.0005, UNIT).passed
    assert not reproduces_score(0.9871, 0.9801, 0.0005, UNIT).passed


def test_a_cost_may_grow_up_to_its_factor():
    assert cost_within_factor("latency", 2.0, 1.0, 2.0, 0.1, "slow").passed
    assert not cost_within_factor("latency", 2.1, 1.0, 2.0, 0.1, "slow").passed


def test_an_increase_below_the_absolute_slack_passes():
    assert cost_within_factor("latency", 0.009, 0.001, 2.0, 0.1, "slow").passed


@pytest.mark.parametrize(("better", "value"), [("higher", 0.85), ("lower", 0.95)])
def test_a_guarded_metric_may_get_worse_by_its_tolerance(better, value):
    worse = 2 * value - 0.9  # twice as far from the champion's value
    assert metric_within_tolerance("recall", value, 0.9, 0.0501, better, "needed").passed
    assert not metric_within_tolerance("recall", worse, 0.9, 0.0501, better, "needed").passed
    assert metric_within_tolerance("recall", 1.8 - value, 0.9, 0.0, better, "needed").passed


def test_rules_print_four_decimals_and_the_unit():
    items = make_items(draw_correct(0.9, 100))
    rules = [
        above_baseline(0.5, 1 / 3, 1, UNIT),
        reproduces_score(0.5, 0.5, 0.0005, UNIT),
        better_than_noise(items, items, accuracy, 1, **NOISE),
        cost_within_factor("latency", 0.01, 0.02, 2.0, 0.1, "slow"),
        cost_within_factor("size", 1234567.0, 1000.0, 2.0, 0.1, "large"),
        Rule("recall", False, "0.5000"),
    ]
    lines = format_rules(rules)
    assert lines[0] == "  pass  above the baseline: score 0.5000, baseline 0.3333 (accuracy, share of images)"
    assert all("(accuracy, share of images)" in line for line in lines[:3])
    assert "0.0100 s, champion 0.0200 s; slow" in lines[3] and "1,234,567 bytes, champion 1,000 bytes" in lines[4]
    assert lines[5].startswith("  FAIL  recall")


def test_the_unit_of_a_score_comes_from_the_config_of_its_dataset(project):
    assert str(read_score_unit("sample_digits")) == "accuracy, share of images"
    assert str(read_score_unit("sample_code")) == "nats per character, nats"
    assert str(read_score_unit("removed_dataset")) == "score"
