"""Test the rules of the promotion gate and the sentences that the rules print."""

import pytest

from lectern.registry import latency
from lectern.registry.bootstrap import Improvement
from lectern.registry.gate_rules import (
    MIN_UNITS,
    above_baseline,
    better_than_noise,
    cost_within_factor,
    format_rules,
    metric_within_tolerance,
    not_checked,
    reproduces_score,
)
from lectern.registry.score_unit import ScoreUnit, read_score_unit

ACCURACY = ScoreUnit("accuracy", "share of images")
NATS = ScoreUnit("nats_per_character", "nats per character")
SLOW = {"factor": 2.0, "absolute_slack": 0.1, "reason": "users notice"}


def make_improvement(low: float, high: float, units: int = 30) -> Improvement:
    return Improvement(low, high, units, confidence=0.95, resamples=1000)


# Verdicts


@pytest.mark.parametrize(("low", "passed"), [(0.01, True), (0.0, False), (-0.01, False)])
def test_a_candidate_is_better_only_if_the_complete_interval_is_above_zero(low, passed):
    assert better_than_noise(0.9, 0.8, make_improvement(low, 0.02), 1, ACCURACY).passed == passed


def test_no_candidate_is_called_better_on_fewer_than_20_units():
    few, enough = (better_than_noise(0.9, 0.8, make_improvement(0.1, 0.2, units), 1, ACCURACY) for units in (19, 20))
    assert MIN_UNITS == 20 and not few.passed and enough.passed and "19 units of test items" in few.reason
    assert few.reason.endswith("this rule needs at least 20 units, so this rule fails")


def test_a_score_equal_to_the_baseline_fails():
    assert not above_baseline(0.5, 0.5, 1, ACCURACY).passed
    assert above_baseline(0.4, 0.5, -1, NATS).passed and not above_baseline(0.6, 0.5, -1, NATS).passed


def test_a_score_that_differs_from_the_recorded_one_fails():
    assert reproduces_score(0.9871, 0.9871, 0.0005, ACCURACY).passed
    assert not reproduces_score(0.9871, 0.9801, 0.0005, ACCURACY).passed


def test_a_latency_may_grow_up_to_its_factor():
    assert cost_within_factor("latency", 2.0, 1.0, **SLOW).passed
    assert not cost_within_factor("latency", 2.1, 1.0, **SLOW).passed


def test_an_increase_up_to_the_absolute_slack_passes():
    assert cost_within_factor("latency", 0.009, 0.001, **SLOW).passed
    assert not cost_within_factor("latency", 0.102, 0.001, **SLOW).passed


@pytest.mark.parametrize(("better", "value"), [("higher", 0.85), ("lower", 0.95)])
def test_a_guarded_metric_may_get_worse_by_its_tolerance(better, value):
    worse = 2 * value - 0.9  # The distance from the champion's value is doubled.
    assert metric_within_tolerance("recall", value, 0.9, 0.0501, better, "needed").passed
    assert not metric_within_tolerance("recall", worse, 0.9, 0.0501, better, "needed").passed
    assert metric_within_tolerance("recall", 1.8 - value, 0.9, 0.0, better, "needed").passed


# Sentences: what was compared, both values with their unit, the limit and the verdict

SENTENCES = {
    "above the baseline: score 0.5000, baseline 0.3333 (accuracy, share of images); it must be higher than the "
    "baseline, and it is higher by 0.1667": above_baseline(0.5, 1 / 3, 1, ACCURACY),
    "above the baseline: score 1.7000, baseline 1.6000 (nats per character); it must be lower than the baseline, but "
    "it is higher by 0.1000": above_baseline(1.7, 1.6, -1, NATS),
    "above the baseline: score 1.6000, baseline 1.6000 (nats per character); it must be lower than the baseline, but "
    "it is equal": above_baseline(1.6, 1.6, -1, NATS),
    "reproduces its score: recorded 36.0000, measured now 35.9000 (bleu); the two scores may differ by at most "
    "0.0180, but they differ by 0.1000": reproduces_score(36.0, 35.9, 0.0005, ScoreUnit("bleu")),
    "better than the champion by more than noise: score 1.4000, champion 1.4800 (nats per character); lower by 0.0400 "
    "to 0.1100 (nats per character) in the 95% interval of 1,000 resamples of 30 units of test items; the complete "
    "interval must be lower than the champion's score, and it is": better_than_noise(
        1.4, 1.48, make_improvement(0.04, 0.11), -1, NATS
    ),
    "better than the champion by more than noise: score 0.9000, champion 0.9500 (accuracy, share of images); lower by "
    "0.0200 to 0.0800 (share of images) in the 95% interval of 1,000 resamples of 30 units of test items; the complete "
    "interval must be higher than the champion's score, but it is not": better_than_noise(
        0.9, 0.95, make_improvement(-0.08, -0.02), 1, ACCURACY
    ),
    "better than the champion by more than noise: score 1.4700, champion 1.4800 (nats per character); between 0.0200 "
    "higher and 0.0400 lower (nats per character) in the 95% interval of 1,000 resamples of 30 units of test items; "
    "the complete interval must be lower than the champion's score, but it is not": better_than_noise(
        1.47, 1.48, make_improvement(-0.02, 0.04), -1, NATS
    ),
    "latency within its limit: latency per small request 12.00 ms, champion 2.00 ms; it may be at most 102.00 ms, the "
    "larger of 2 times 2.00 ms and 2.00 ms plus 100.00 ms, and it is; reason: users notice": cost_within_factor(
        "latency", 0.012, 0.002, **SLOW
    ),
    "size within its limit: size of the weights 9,000 bytes, champion 1,000 bytes; it may be at most 4,000 bytes, the "
    "larger of 4 times 1,000 bytes and 1,000 bytes plus 500 bytes, but it is more; reason: memory": cost_within_factor(
        "size", 9000.0, 1000.0, 4, 500, "memory"
    ),
    "recall within its tolerance: 0.9500, champion 0.9700 (share of digits); it may be lower by at most 0.005, but it "
    "is lower by 0.0200; reason: needed": metric_within_tolerance(
        "recall", 0.95, 0.97, 0.005, "higher", "needed", "share of digits"
    ),
    "rmse within its tolerance: 0.0400, champion 0.0500; it must be lower by at least 0.02, but it is lower by 0.0100; "
    "reason: needed": metric_within_tolerance("rmse", 0.04, 0.05, -0.02, "lower", "needed"),
}


@pytest.mark.parametrize("sentence", SENTENCES, ids=lambda sentence: sentence.partition(":")[0])
def test_a_sentence_states_values_limit_and_verdict(sentence):
    rule = SENTENCES[sentence]
    assert format_rules([rule]) == [f"  {'pass' if rule.passed else 'FAIL'}  {sentence}"]


def test_a_rule_that_could_not_be_checked_is_neither_pass_nor_fail():
    blocking, optional = not_checked("latency", "no data"), not_checked("latency", "no data", blocks=False)
    assert format_rules([blocking]) == format_rules([optional]) == ["  not checked  latency: no data"]
    assert not blocking.passed and optional.passed


def test_the_unit_of_a_score_comes_from_the_config_of_its_dataset(project):
    assert str(read_score_unit("sample_digits")) == "accuracy, share of images"
    assert str(read_score_unit("sample_code")) == "nats per character"
    assert str(read_score_unit("removed_dataset")) == "score"


# Latency


class Machine:
    """A simulated machine with a clock. During a busy period, every request is ten times slower."""

    def __init__(self, busy: range = range(0)):
        self.busy, self.now, self.requests = busy, 0.0, []

    def request(self, name: str, seconds: float):
        def serve() -> None:
            self.now += seconds * (10 if len(self.requests) in self.busy else 1)
            self.requests.append(name)

        return serve


def compare(machine: Machine, monkeypatch, candidate: float, champion: float, limit: float) -> tuple[float, float]:
    monkeypatch.setattr(latency.time, "perf_counter", lambda: machine.now)
    requests = (machine.request(name, cost) for name, cost in (("candidate", candidate), ("champion", champion)))
    return latency.compare_latencies(*requests, lambda _: limit).medians


def test_a_busy_period_delays_both_models(monkeypatch):
    assert compare(Machine(busy=range(2, 9)), monkeypatch, 0.003, 0.003, limit=1.0) == pytest.approx((0.03, 0.03))


def test_the_first_request_of_each_model_is_not_counted(monkeypatch):
    assert compare(Machine(busy=range(2)), monkeypatch, 0.003, 0.002, limit=1.0) == pytest.approx((0.003, 0.002))


@pytest.mark.parametrize(
    ("limit", "rounds"), [(1.0, latency.ROUNDS), (0.001, latency.ROUNDS), (0.0035, latency.MAX_ROUNDS)]
)
def test_more_requests_are_timed_if_the_latency_is_close_to_the_limit(monkeypatch, limit, rounds):
    machine = Machine()
    compare(machine, monkeypatch, 0.003, 0.002, limit)
    assert machine.requests.count("candidate") == machine.requests.count("champion") == rounds + 1


def test_slow_models_are_timed_once(monkeypatch):
    machine = Machine()
    compare(machine, monkeypatch, 10.0, 10.0, limit=10.0)
    assert machine.requests.count("candidate") == machine.requests.count("champion") == 2
