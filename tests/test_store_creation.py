"""Test that a new store is created once and completely, and that a damaged store is reported with the remedy."""

import os
import sqlite3
from pathlib import Path

import pytest

from children import KILLED, Child, at_call, die, in_child, lectern, run_lectern, warm


@pytest.fixture
def database(project, monkeypatch) -> Path:
    """Return the path of a store that does not exist yet."""
    path = project / "new" / "mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{path}")
    return path


@pytest.mark.slow
def test_eight_commands_at_the_same_time_create_one_store(database):
    warm("registry.overview")
    children = [Child(run_lectern, "registry", "list") for _ in range(8)]
    ended = [child.ended() for child in children]
    assert [result.code for result in ended] == [0] * 8, ended
    assert {path.name for path in database.parent.iterdir()} <= {"mlflow.db", "mlflow.db.lock"}


def list_models_and_die() -> None:
    at_call(os, "replace", 1, die)
    run_lectern("registry", "list")


@pytest.mark.slow
def test_a_command_killed_while_it_creates_a_store_leaves_no_store(database):
    assert in_child(list_models_and_die).code == KILLED and not database.exists()
    assert lectern("registry", "list").code == 0


@pytest.mark.parametrize("damage", ["half made", "not a database"])
def test_a_damaged_store_is_reported_with_the_remedy(database, damage):
    database.parent.mkdir()
    if damage == "half made":  # The first migration of the database has not ended.
        with sqlite3.connect(database) as connection:
            connection.execute("CREATE TABLE _alembic_tmp_latest_metrics (key INTEGER)")
            connection.execute("CREATE TABLE experiments (experiment_id INTEGER)")
    else:
        database.write_bytes(b"This is not a database." * 100)
    ended = lectern("registry", "list")
    assert ended.code == 1 and f"mv {database} {database}.damaged" in ended.said, ended.said
    assert "lectern reconcile" in ended.said and "Traceback" not in ended.said
    database.rename(database.with_suffix(".damaged"))
    assert lectern("reconcile").code == 0
