"""Plant a password in every variable that can contain one, and search everything that Lectern prints and stores."""

import os
from pathlib import Path

import pytest
from mlflow.entities import Run, RunData, RunInfo

from children import Ended, in_child, run_lectern, run_stage, warm
from lectern.errors import UserError, hide_credentials
from lectern.tracking.ui_settings import MODE, run_page, without_credentials
from marked_cases import mostly
from short_training import SHORT_TRAINING, project, train

__all__ = ["project"]  # imported because it is a fixture
PASSWORD = "m4rk3r"
DEAD_STORES = {
    "MLflow": f"http://ada:{PASSWORD}@127.0.0.1:1",
    "reserved characters": f"HTTP://ada:p@s/s?w#{PASSWORD}@127.0.0.1:1",
    "PostgreSQL": f"postgresql://ada:{PASSWORD}@127.0.0.1:1/mlflow",
    "PostgreSQL with a parameter": f"postgresql://127.0.0.1:1/mlflow?user=ada&password={PASSWORD}",
}
COMMANDS = {
    "registry list": ("registry", "list"),
    "promote": ("promote", "sample_digits"),
    "rollback": ("rollback", "sample_digits"),
    "reconcile": ("reconcile",),
    "lineage": ("lineage", "sample_digits"),
    "predict": ("predict", "sample_digits", "--input", "data", "--output", "out.csv"),
    "serve": ("serve", "--port", "0"),
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://ada:secret@host/a", "http://***@host/a"),
        ("mysql+pymysql://ada:s3c:r@e/t?#x@host/a is closed", "mysql+pymysql://***@host/a is closed"),
        ("S3://token@bucket, and 'ftp://a:b@c'", "S3://***@bucket, and 'ftp://***@c'"),
        ("https://host/a?X-Token=abc&b=1 password=abc", "https://host/a?X-Token=***&b=1 password=***"),
        ("sqlite:////tmp/a:b/mlflow.db", "sqlite:////tmp/a:b/mlflow.db"),
        ("mail ada@host about https://host/a", "mail ada@host about https://host/a"),
    ],
)
def test_credentials_of_every_address_are_hidden(text, expected):
    assert hide_credentials(text) == str(UserError(text)) == expected


def test_a_link_contains_no_credentials():
    run = Run(RunInfo("abc", "1", "ada", "FINISHED", 0, 1, "active"), RunData())
    page = f"https://host/#/experiments/1/runs/abc?{MODE}"
    assert run_page(f"https://ada:{PASSWORD}@host/", run) == page
    assert without_credentials(f"https://ada:p@{PASSWORD}@host:5001/") == "https://host:5001/"
    assert without_credentials("https://host:5001/") == "https://host:5001/"


def test_the_password_of_the_mirror_is_not_stored(project, store, monkeypatch):
    monkeypatch.setenv("LECTERN_MIRROR", f"http://ada:{PASSWORD}@127.0.0.1:1/mirror")
    ended = train()
    assert ended.code == 0 and PASSWORD not in ended.said
    files = [path for folder in (project, Path(store.removeprefix("sqlite:///")).parent) for path in folder.rglob("*")]
    assert len(files) > 20
    assert [path for path in files if path.is_file() and PASSWORD.encode() in path.read_bytes()] == []


def run_with_store(address: str, run, *arguments: str) -> Ended:
    """Run a command with a tracking store that does not answer."""
    warm()

    def command() -> None:
        os.environ["MLFLOW_TRACKING_URI"] = address
        run(*arguments)

    return in_child(command)


@pytest.mark.parametrize("name", mostly("slow", DEAD_STORES, always=["reserved characters"]))
def test_a_message_about_a_store_that_does_not_answer_hides_the_password(project, name):
    ended = run_with_store(DEAD_STORES[name], run_stage, "train", *SHORT_TRAINING)
    assert ended.code == 1 and "does not answer" in ended.said and PASSWORD not in ended.said


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_every_command_hides_the_password_of_the_store(project, command):
    ended = run_with_store(DEAD_STORES["MLflow"], run_lectern, *command)
    assert ended.code and PASSWORD not in ended.said


def test_the_download_stage_hides_the_password_of_the_mirror(project, monkeypatch):
    monkeypatch.setenv("LECTERN_MIRROR", f"http://ada:p@s/{PASSWORD}@127.0.0.1:1/mirror")
    warm()
    ended = in_child(run_stage, "download", "origin=tinyshakespeare", "origin.urls=[]")
    assert ended.code == 1 and "127.0.0.1:1/mirror" in ended.said and PASSWORD not in ended.said
