"""Describe the score, the baseline and the training data of a champion for the visitors of the web page."""

from lectern.serving.champions import Champion
from lectern.task_modules import has_task_module, task_module


def format_score(value: float) -> str:
    """Return a score with three decimals. Return a score below 0.1 with three significant digits.

    >>> format_score(-0.0001), format_score(0.9), format_score(0.0070743), format_score(-0.0)
    ('-0.0001', '0.900', '0.00707', '0')
    """
    if value == 0:
        return "0"
    return f"{value:,.3f}" if abs(value) >= 0.1 else f"{value:.3g}"


def describe_score(champion: Champion) -> str:
    """Return the name, the value and the unit of the score, such as `accuracy 0.900 (share of images)`."""
    unit = champion.score_unit
    name = unit.name.replace("_", " ")
    suffix = f" ({unit.unit})" if unit.unit not in ("", name) else ""
    return f"{name} {format_score(champion.version.score)}{suffix}"


def describe_direction(champion: Champion) -> str:
    return f"{'higher' if champion.version.higher_is_better else 'lower'} is better"


def describe_baseline(champion: Champion) -> str:
    """Return the score of the baseline, and the trivial method that reaches this score."""
    method = read_page_text(champion, "BASELINE") or "a trivial method on the same test data"
    return f"baseline {format_score(champion.version.baseline)}: {method}"


def describe_training_data(champion: Champion) -> str:
    """Return the dataset on which the version was trained, with the number of training items if it is known."""
    facts, counted = champion.model.facts, read_page_text(champion, "TRAINING_ITEMS")
    key, _, noun = counted.partition(": ")
    count = facts.get(key, {}).get("train")
    items = f", {count:,} {noun}" if isinstance(count, int) else ""
    return f"trained on {champion.version.dataset}{items}"


def read_page_text(champion: Champion, name: str) -> str:
    """Return a constant of the task's module `serving.page`, or an empty text if the module or constant is missing."""
    if not has_task_module(champion.task, "serving.page"):
        return ""
    return str(getattr(task_module(champion.task, "serving.page"), name, ""))
