"""Kill the commands that change a champion at every write, repeat them, and compare with an undisturbed command."""

import os
import shutil
from contextlib import closing
from pathlib import Path
from sqlite3 import connect
from typing import Any

import pytest
from mlflow import MlflowClient

from children import KILLED, at_call, die, in_child, run_lectern
from lectern.registry import promotion
from lectern.registry.registered_model import RegisteredModel
from registered import BETTER, NAME, WEAK, logged_decisions, promote

pytestmark = pytest.mark.faults
WRITES = [
    (MlflowClient, "set_registered_model_alias"),
    (MlflowClient, "delete_registered_model_alias"),
    (MlflowClient, "set_model_version_tag"),
    (os, "replace"),
    (os, "fsync"),
    (Path, "unlink"),
]
COMMANDS = {
    "promote the challenger": ["promote", NAME],
    "force": ["promote", NAME, "--version", WEAK, "--force", "a reason"],
    "rollback": ["rollback", NAME],
    "rollback to a version": ["rollback", NAME, "--version", WEAK],
    "retire": ["retire", NAME],
}


def run_killed(words: list[str], owner: Any, method: str, call: int, after: bool) -> None:
    """Run a command that is killed before or after a call. The gate writes nothing, so it is skipped."""
    promotion.evaluate_gate = lambda *_: []
    at_call(owner, method, call, die, after)
    run_lectern(*words)


def state(client: MlflowClient) -> tuple[dict[str, int], list[tuple[str, Any, Any]]]:
    """Return the aliases and the decisions without their times."""
    decisions = [
        (decision["action"], *(decision[key] and decision[key]["version"] for key in ("from", "to")))
        for decision in logged_decisions(client)
    ]
    return RegisteredModel(client, NAME).aliases, decisions


@pytest.fixture
def reset(registered_client, tmp_path, monkeypatch):
    """Return a function that restores a store and a log with four promotions."""
    monkeypatch.setattr(promotion, "evaluate_gate", lambda *_: [])
    for version in (WEAK, BETTER, WEAK, BETTER):
        promote(registered_client, version, "a reason")
    database = registered_client.tracking_uri.removeprefix("sqlite:///")
    shutil.copyfile(database, tmp_path / "saved.db")
    shutil.copytree("registry", tmp_path / "saved_registry")

    def reset() -> None:
        with closing(connect(tmp_path / "saved.db")) as saved, closing(connect(database)) as present:
            saved.backup(present)  # a copy of the file would be hidden by the caches of open connections
        shutil.rmtree("registry")
        shutil.copytree(tmp_path / "saved_registry", "registry")
        shutil.rmtree("runs", ignore_errors=True)

    return reset


@pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS)
def test_a_command_killed_at_any_write_and_repeated_happens_once(registered_client, reset, words):
    undisturbed = in_child(run_killed, words, os, "replace", 10**6, False)
    assert undisturbed.code == 0, undisturbed.said
    expected, kills = state(registered_client), 0
    for owner, method in WRITES:
        # After the intent is deleted, the command is complete, and the same command is a new decision.
        for after in (False, True)[: 1 if method == "unlink" else 2]:
            for call in range(1, 100):
                reset()
                if in_child(run_killed, words, owner, method, call, after).code != KILLED:
                    break
                kills += 1
                repeated = in_child(run_killed, words, os, "replace", 10**6, False)
                where = f"{'after' if after else 'before'} call {call} of {method}: {repeated.said}"
                assert repeated.code == 0 and state(registered_client) == expected, where
                assert not list(Path("runs/decisions").glob("*.json")), where
    assert kills >= 8
