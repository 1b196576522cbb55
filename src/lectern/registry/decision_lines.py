"""Parse the decisions in an audit log, and report damaged lines instead of failing."""

import json
from functools import cache
from typing import Any, NotRequired

from pydantic import AwareDatetime, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from lectern.artifacts.text_lines import split_lines
from lectern.errors import print_message

Decision = dict[str, Any]


class DescribedVersion(TypedDict):
    """The keys of a version in a decision. Older versions of Lectern wrote only some of these keys."""

    version: int
    experiment: str
    weights: str
    score: float
    metrics: NotRequired[str]
    code: NotRequired[str]
    requirements: NotRequired[str]


class Who(TypedDict):
    user: str
    host: str


DecisionLine = TypedDict(
    "DecisionLine",
    {
        "when": AwareDatetime,
        "who": Who,
        "action": str,
        "from": DescribedVersion | None,
        "to": DescribedVersion | None,
    },
)


def parse_decisions(lines: set[str]) -> list[Decision]:
    """Return the decisions in valid lines, the oldest first."""
    return sorted((json.loads(line) for line in lines), key=lambda decision: str(decision["when"]))


def select_valid_lines(text: str, source: str) -> set[str]:
    """Return the lines of an audit log without damaged lines, for example a line that was only written in part.

    Each damaged line is reported once with its line number and with `source`, which names the file.
    """
    lines = set()
    for number, line in enumerate(split_lines(text), 1):
        if problem := find_problem(line):
            report_once(
                f"{source}, line {number} is damaged and ignored: {problem}. "
                "Restore the line from git if it is complete there, or delete the line."
            )
        elif line.strip():
            lines.add(line)
    return lines


def find_problem(line: str) -> str | None:
    """Return why a line does not contain a decision, or None if the line is valid or empty."""
    if not line.strip():
        return None
    try:
        decision = TypeAdapter(DecisionLine).validate_json(line)
    except ValidationError as error:
        problem = error.errors()[0]
        return ": ".join(filter(None, (".".join(map(str, problem["loc"])), problem["msg"])))
    return None if decision["from"] or decision["to"] else "the decision names no version"


@cache
def report_once(message: str) -> None:
    """Print a message to stderr, unless this process has already printed it."""
    print_message(message)
