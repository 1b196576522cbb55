"""Test that damaged lines of an audit log are named with file and line, and that all other lines are used."""

import json
from pathlib import Path

import pytest

from children import lectern
from lectern.registry.audit_log import read_decisions
from lectern.registry.decision_lines import find_problem, report_once
from lectern.registry.registered_model import RegisteredModel
from registered import BEST, BETTER, NAME, logged_decisions, promote

LOG = Path("registry", f"{NAME}.jsonl")
VERSION = {"version": 1, "experiment": "better", "weights": "c1", "metrics": "99", "code": "0d", "score": 0.5}
DECISION = {
    "when": "2026-01-01T00:00:00+00:00",
    "who": {"user": "ada", "host": "laptop"},
    "action": "promote",
    "from": None,
    "to": VERSION,
}
DAMAGED = {
    "conflict marker": "<<<<<<< HEAD",
    "half a line": '{"action": "promo',
    "no object": "[]",
    "missing key": json.dumps({key: value for key, value in DECISION.items() if key != "when"}),
    "no time": json.dumps(DECISION | {"when": "yesterday"}),
    "time without zone": json.dumps(DECISION | {"when": "2026-01-01T00:00:00"}),
    "who is a name": json.dumps(DECISION | {"who": "ada"}),
    "no version": json.dumps(DECISION | {"from": None, "to": None}),
    "text as score": json.dumps(DECISION | {"to": VERSION | {"score": "high"}}),
    "NUL characters": "\0" * 40,
}


@pytest.fixture(autouse=True)
def clear_reported_lines() -> None:
    """Clear the cache of reported lines, because each line is reported only once per process."""
    report_once.cache_clear()


def test_the_example_is_valid():
    assert find_problem(json.dumps(DECISION)) is None


@pytest.mark.parametrize("line", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_line_is_named_and_the_others_are_used(registered_client, capsys, line):
    promote(registered_client, BETTER)
    LOG.write_text(f"{line}\n{LOG.read_text()}")
    promote(registered_client, BEST)
    assert [decision["to"]["experiment"] for decision in logged_decisions(registered_client)] == ["better", "best"]
    assert f"{LOG}, line 1 is damaged and ignored: " in capsys.readouterr().err


def test_bytes_that_are_not_utf_8_are_named(registered_client, capsys):
    promote(registered_client, BETTER)
    LOG.write_bytes(LOG.read_bytes() + b"\xff\xfe\n")
    assert len(read_decisions(RegisteredModel(registered_client, NAME))) == 1
    assert f"{LOG}, line 2 is damaged and ignored: " in capsys.readouterr().err


def test_a_damaged_tag_of_a_version_is_named(registered_client, capsys):
    promote(registered_client, BETTER)
    registered_client.set_model_version_tag(NAME, BEST, "lectern.decision.1", "[]")
    assert len(read_decisions(RegisteredModel(registered_client, NAME))) == 1
    assert f"lectern.decision.1 of {NAME} version {BEST}, line 1 is damaged" in capsys.readouterr().err


def test_a_reason_is_printed_without_change_and_without_control_characters(registered_client):
    promote(registered_client, BETTER, "[/x] [red]hot[/red] \x1b[31m")
    ended = lectern("registry", "history", NAME)
    assert ended.code == 0 and "[/x] [red]hot[/red] \\x1b[31m" in ended.said, ended.said
