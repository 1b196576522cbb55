"""Test decisions that are concurrent, killed or refused by the store, and the retirement of a registered model."""

import shutil
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from children import KILLED, at_call, die, in_child, lectern
from lectern.errors import ConcurrentPromotion, UserError
from lectern.registry import lock, promotion
from lectern.registry.reconcile import reconcile
from lectern.registry.registered_model import RegisteredModel
from marked_cases import mostly
from registered import (
    BEST,
    BETTER,
    NAME,
    WEAK,
    challenger,
    champion,
    logged_decisions,
    promote,
    rollback,
)

LOG = Path("registry", f"{NAME}.jsonl")


# Concurrency and crashes


def test_a_champion_changed_during_the_gate_stops_the_promotion(registered_client, monkeypatch):
    """A tracking server has no lock that excludes other machines, so another machine can change the champion."""

    def change_champion(*_):
        registered_client.set_registered_model_alias(NAME, "champion", WEAK)
        return []

    monkeypatch.setattr(promotion, "evaluate_gate", change_champion)
    message = r"version 1 \(weak\) became the champion while version 3 was checked"
    with pytest.raises(ConcurrentPromotion, match=message):
        promote(registered_client, BEST)
    assert champion(registered_client) == "weak" and not LOG.exists()


def test_a_champion_changed_right_after_a_promotion_is_reported(registered_client, monkeypatch):
    move_aliases = RegisteredModel.move_aliases

    def move_twice(model, targets):
        move_aliases(model, targets)
        move_aliases(model, {"champion": int(WEAK)})

    monkeypatch.setattr(RegisteredModel, "move_aliases", move_twice)
    with pytest.raises(ConcurrentPromotion, match=r"version 1 \(weak\) became the champion just after version 3"):
        promote(registered_client, BEST)
    assert champion(registered_client) == "weak" and len(logged_decisions(registered_client)) == 1


def test_a_promotion_waits_for_the_lock_and_gives_up_after_a_timeout(registered_client, monkeypatch):
    monkeypatch.setattr(lock, "TIMEOUT_S", 0.05)
    with (
        lock.promotion_lock(RegisteredModel(registered_client, NAME)),
        ThreadPoolExecutor(1) as pool,
        pytest.raises(UserError, match="Another promotion, rollback or retirement of sample_digits has held the lock"),
    ):
        pool.submit(promote, registered_client).result()
    assert champion(registered_client) is None


def promote_and_die_after_the_alias_has_moved(client, version: str | None = None) -> None:
    at_call(MlflowClient, "set_registered_model_alias", 1, die, after=True)
    promote(client, version)


def test_a_killed_promotion_is_completed_before_the_next_one(registered_client):
    promote(registered_client, WEAK)
    killed = in_child(promote_and_die_after_the_alias_has_moved, registered_client, BETTER)
    assert killed.code == KILLED and champion(registered_client) == "better"
    promote(registered_client, BEST)
    origins = [decision["from"] and decision["from"]["experiment"] for decision in logged_decisions(registered_client)]
    assert origins == [None, "weak", "better"]
    assert rollback(registered_client).experiment == "better"


@pytest.mark.slow
def test_a_killed_promotion_is_completed_by_reconcile(registered_client):
    assert in_child(promote_and_die_after_the_alias_has_moved, registered_client).code == KILLED
    assert logged_decisions(registered_client) == []
    ended = in_child(reconcile, registered_client)
    assert "completed an interrupted promote: version 3 is the champion" in ended.said
    assert champion(registered_client) == "best" and challenger(registered_client) == "better"
    assert logged_decisions(registered_client)[-1]["to"]["experiment"] == "best"


# Decisions that the store refuses


@contextmanager
def read_only_store(client: MlflowClient) -> Iterator[None]:
    """Refuse every change of the SQLite file, as a database does for an account that may only read."""
    path = client.tracking_uri.removeprefix("sqlite:///")
    with sqlite3.connect(path) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            for action in ("INSERT", "UPDATE", "DELETE"):
                refusal = "BEGIN SELECT RAISE(ABORT, 'permission denied'); END"
                database.execute(f"CREATE TRIGGER refuse_{table}_{action} BEFORE {action} ON {table} {refusal}")
    try:
        yield
    finally:
        with sqlite3.connect(path) as database:
            for table in tables:
                for action in ("INSERT", "UPDATE", "DELETE"):
                    database.execute(f"DROP TRIGGER refuse_{table}_{action}")


COMMANDS = {
    "promote": ["promote", NAME, "--version", BEST],
    "force": ["promote", NAME, "--version", WEAK, "--force", "a reason"],
    "rollback": ["rollback", NAME],
    "retire": ["retire", NAME],
}


@pytest.mark.slow
@pytest.mark.parametrize("words", mostly("nightly", COMMANDS.values(), [COMMANDS["promote"]], name=" ".join))
def test_a_decision_that_the_store_refuses_changes_nothing(registered_client, words):
    for version in (WEAK, BETTER):
        promote(registered_client, version)
    before = Path(f"registry/{NAME}.jsonl").read_bytes()
    with read_only_store(registered_client):
        ended = lectern(*words)
    assert (
        ended.code == 1 and "the tracking store refused the change" in ended.said and "Traceback" not in ended.said
    ), ended.said
    assert Path(f"registry/{NAME}.jsonl").read_bytes() == before
    assert reconcile(registered_client) == [] and champion(registered_client) == "better"


def fail_like_a_locked_database() -> None:
    raise MlflowException("database is locked")


def promote_while_the_store_fails(client, call: int) -> None:
    """Promote the best version. The store fails at the given move of an alias."""
    at_call(MlflowClient, "set_registered_model_alias", call, fail_like_a_locked_database)
    promote(client, BEST)


def test_a_store_that_fails_during_a_decision_does_not_discard_it(registered_client):
    # The first command fails at its second alias. The second command has only one alias left to move.
    for call in (2, 1):
        ended = in_child(promote_while_the_store_fails, registered_client, call)
        assert (
            "the tracking store failed during a decision: database is locked. Run the same command again" in ended.said
        )
        assert "discarded" not in ended.said
        assert list(Path("runs/decisions").glob("*.json")) and logged_decisions(registered_client) == []
    ended = lectern("promote", NAME, "--version", BEST)
    assert ended.code == 0 and "completed an interrupted promote" in ended.said and "discarded" not in ended.said
    assert (champion(registered_client), challenger(registered_client)) == ("best", "better")
    assert len(logged_decisions(registered_client)) == 1


# Retired models


@pytest.mark.slow
@pytest.mark.nightly
def test_a_retired_model_has_no_champion_until_another_promotion(registered_client, empty_store):
    promote(registered_client, BETTER)
    ended = lectern("retire", NAME)
    assert ended.code == 0 and f"lectern promote {NAME} --version {BETTER}" in ended.said
    assert champion(registered_client) is None and challenger(registered_client) == "best"
    last = logged_decisions(registered_client)[-1]
    assert (last["action"], last["from"]["experiment"], last["to"]) == ("retire", "better", None)
    assert reconcile(registered_client) == [] and champion(registered_client) is None
    ended = lectern("retire", NAME)
    assert ended.code == 1 and "has no champion, so there is nothing to retire" in ended.said
    assert "retire" in lectern("registry", "history", NAME).said
    promote(registered_client, BETTER)
    assert champion(registered_client) == "better"


@pytest.mark.slow
@pytest.mark.nightly
def test_reconcile_keeps_a_model_retired_in_a_new_store(registered_client, empty_store):
    promote(registered_client, BETTER)
    lectern("retire", NAME)
    shutil.copyfile(empty_store, registered_client.tracking_uri.removeprefix("sqlite:///"))
    reconcile(registered_client)
    assert RegisteredModel(registered_client, NAME).champion_number is None
