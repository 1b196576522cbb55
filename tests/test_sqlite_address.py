"""Test that the store of a checkout is inside the checkout, whatever characters the path of the checkout contains."""

import os
from pathlib import Path

import pytest

from children import in_child
from lectern.errors import UserError
from lectern.tracking import store
from lectern.tracking.sqlite_address import sqlite_address, sqlite_file


def make_checkout(folder: Path) -> None:
    """Create a folder that the commands recognize as a checkout."""
    (folder / "src/lectern").mkdir(parents=True)
    (folder / "src/lectern/__init__.py").touch()


def write_artifact(folder: Path) -> None:
    """Create a run with an artifact in the store of a checkout."""
    os.chdir(folder)
    os.environ["MLFLOW_TRACKING_URI"] = ""
    client = store.connect()
    run = client.create_run(store.experiment_id(client, "digits"))
    client.log_text(run.info.run_id, "text", "file.txt")


@pytest.mark.slow
def test_the_store_and_its_artifacts_are_in_a_checkout_with_unusual_characters(tmp_path):
    folder = tmp_path / "50% #b;c&d'é {x} $y"
    make_checkout(folder)
    ended = in_child(lambda: write_artifact(folder))
    assert ended.code == 0, ended.said
    assert (folder / "mlflow.db").stat().st_size
    assert len(list(folder.glob("mlartifacts/digits/*/artifacts/file.txt"))) == 1
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]


@pytest.mark.parametrize("name", ["a?b", "my%20folder"])
def test_a_checkout_in_which_sqlite_has_no_address_is_refused_and_nothing_is_written(tmp_path, name, monkeypatch):
    folder = tmp_path / name
    make_checkout(folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    with pytest.raises(UserError, match=r"contains (\?|%20), so MLflow cannot use a SQLite file.*Rename the folder"):
        store.connect()
    assert [path.name for path in tmp_path.iterdir()] == [name] and not (folder / "mlflow.db").exists()


def test_an_address_gives_its_path_again(tmp_path):
    assert sqlite_file(sqlite_address(tmp_path / "a b")) == (tmp_path / "a b").resolve()
    assert sqlite_file(f"{sqlite_address(tmp_path)}?timeout=5") == tmp_path.resolve()
    assert sqlite_file("postgresql://host/name") is None
