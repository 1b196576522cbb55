"""Define the rules of the promotion gate.

The result of a rule states the value of the candidate, the value of the champion or the baseline, and the limit.
"""

from dataclasses import dataclass

from lectern.registry.bootstrap import Improvement
from lectern.registry.score_unit import ScoreUnit

MIN_UNITS = 20  # minimum number of bootstrap units; with fewer units, the estimated spread is too uncertain
BETTER, REPRODUCES = "better than the champion by more than noise", "reproduces its score"  # names of rules
SAME = "the same model as the champion"  # name of the rule that replaces BETTER
COST_TITLES = {"latency": "latency per small request", "size": "size of the weights"}


@dataclass(frozen=True)
class Rule:
    """The result of one rule of the promotion gate."""

    name: str
    passed: bool
    reason: str
    checked: bool = True  # false if this machine lacks data or files that the rule needs


def above_baseline(score: int | float, baseline: int | float, direction: int, unit: ScoreUnit) -> Rule:
    """Check that the score of a version is better than the score of the trivial baseline.

    `direction` is 1 if a higher score is better, -1 if a lower score is better.
    """
    passed = direction * (score - baseline) > 0
    limit = f"must be {comparative(direction)} than the baseline, {conjunction(passed)}"
    reason = f"score {score:.4f}, baseline {baseline:.4f} ({unit}); it {limit} {describe_difference(score - baseline)}"
    return Rule("above the baseline", passed, reason)


def reproduces_score(recorded: float, measured: float, tolerance: float, unit: ScoreUnit) -> Rule:
    """Check that the new score of a version equals its recorded score within a tolerance.

    For scores above 1, such as BLEU, the tolerance is relative.
    """
    difference, limit = abs(recorded - measured), tolerance * max(1.0, abs(recorded))
    passed = difference <= limit
    reason = (
        f"recorded {recorded:.4f}, measured now {measured:.4f} ({unit}); "
        f"the two scores may differ by at most {limit:.4f}, "
        f"{conjunction(passed)} they differ by {difference:.4f}"
    )
    return Rule(REPRODUCES, passed, reason)


def better_than_noise(
    score: int | float, champion_score: int | float, improvement: Improvement, direction: int, unit: ScoreUnit
) -> Rule:
    """Check that the confidence interval of the improvement over the champion is above zero.

    If there are fewer than MIN_UNITS bootstrap units, the candidate never counts as better.
    """
    passed = improvement.units >= MIN_UNITS and improvement.low > 0
    reason = (
        f"score {score:.4f}, champion {champion_score:.4f} ({unit}); {describe_interval(improvement, direction)} "
        f"({unit.unit or unit}) in the {improvement.confidence:.0%} interval of {improvement.resamples:,} resamples of "
        f"{improvement.units:,} units of test items; "
    )
    if improvement.units < MIN_UNITS:
        reason += f"this rule needs at least {MIN_UNITS} units, so this rule fails"
    else:
        limit = f"the complete interval must be {comparative(direction)} than the champion's score"
        reason += f"{limit}, {'and it is' if passed else 'but it is not'}"
    return Rule(BETTER, passed, reason)


def same_model(champion_number: int) -> Rule:
    """Pass a candidate that has the experiment and the weights of the champion.

    Such a candidate cannot be better. After a change of the code it is needed, because `lectern serve` refuses a
    champion with other code.
    """
    reason = f"version {champion_number} has the same experiment and weights; only the code, packages or data differ"
    return Rule(SAME, True, reason)


def cost_within_factor(
    name: str, cost: float, champion_cost: float, factor: int | float, absolute_slack: int | float, reason: str
) -> Rule:
    """Check that the latency or size of a candidate is at most `factor` times the champion's latency or size.

    An increase of the latency or size by at most `absolute_slack` always passes.
    """
    limit = cost_limit(champion_cost, factor, absolute_slack)
    passed = cost <= limit
    now, before, highest, slack = (format_cost(name, value) for value in (cost, champion_cost, limit, absolute_slack))
    text = (
        f"{COST_TITLES[name]} {now}, champion {before}; it may be at most {highest}, the larger of {factor:g} times "
        f"{before} and {before} plus {slack}, {'and it is' if passed else 'but it is more'}; reason: {reason}"
    )
    return Rule(cost_rule(name), passed, text)


def cost_rule(name: str) -> str:
    """Return the name of the rule that limits a cost, which is the latency or the size."""
    return f"{name} within its limit"


def metric_rule(name: str) -> str:
    """Return the name of the rule that limits a guarded metric."""
    return f"{name} within its tolerance"


def cost_limit(champion_cost: float, factor: int | float, absolute_slack: int | float) -> float:
    """Return the largest latency or size that the rule allows."""
    return max(champion_cost * factor, champion_cost + absolute_slack)


def metric_within_tolerance(
    name: str,
    value: int | float,
    champion_value: int | float,
    tolerance: int | float,
    better: str,
    reason: str,
    unit: str = "",
) -> Rule:
    """Check that a metric of the candidate is worse than the champion's metric by at most `tolerance`.

    `better` is "higher" or "lower", and states which values of the metric are better.
    """
    direction = 1 if better == "higher" else -1
    passed = direction * (champion_value - value) <= tolerance
    values = f"{value:.4f}, champion {champion_value:.4f}{f' ({unit})' if unit else ''}"
    difference = describe_difference(value - champion_value)
    text = f"{values}; it {describe_tolerance(tolerance, better)}, {conjunction(passed)} {difference}; reason: {reason}"
    return Rule(metric_rule(name), passed, text)


def not_checked(name: str, reason: str, blocks: bool = True) -> Rule:
    """Return the result of a rule that could not be checked. The rule counts as failed if `blocks` is true."""
    return Rule(name, not blocks, reason, checked=False)


def format_rules(rules: list[Rule]) -> list[str]:
    """Return one line of text per rule with its result."""
    return [f"  {label(rule)}  {rule.name}: {rule.reason}" for rule in rules]


def label(rule: Rule) -> str:
    if not rule.checked:
        return "not checked"
    return "pass" if rule.passed else "FAIL"


def comparative(direction: int) -> str:
    return "higher" if direction > 0 else "lower"


def conjunction(passed: bool) -> str:
    return "and" if passed else "but"


def describe_difference(difference: float) -> str:
    """Describe a difference of two scores as text. For example, 0.01 becomes `it is higher by 0.0100`."""
    if difference == 0:
        return "it is equal"
    return f"it is {'higher' if difference > 0 else 'lower'} by {abs(difference):.4f}"


def describe_interval(improvement: Improvement, direction: int) -> str:
    """Describe a confidence interval as text, such as `lower by 0.0400 to 0.1100`.

    The text first states the end of the interval that is closer to zero.
    """
    low, high = improvement.low, improvement.high
    better, worse = comparative(direction), comparative(-direction)
    if low >= 0:
        return f"{better} by {low:.4f} to {high:.4f}"
    if high <= 0:
        return f"{worse} by {-high:.4f} to {-low:.4f}"
    return f"between {-low:.4f} {worse} and {high:.4f} {better}"


def describe_tolerance(tolerance: int | float, better: str) -> str:
    """Describe the limit of a guarded metric as text. A negative tolerance requires an improvement."""
    if tolerance < 0:
        return f"must be {better} by at least {-tolerance:g}"
    return f"may be {'lower' if better == 'higher' else 'higher'} by at most {tolerance:g}"


def format_cost(name: str, value: int | float) -> str:
    """Return a latency as text in milliseconds, or a size as text in bytes."""
    return f"{1000 * value:,.2f} ms" if name == "latency" else f"{value:,.0f} bytes"
