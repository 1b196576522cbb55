"""Test the account that the audit log records, and the permissions of docs/server.md on a running server."""

import json
import re
from pathlib import Path

import pytest
from mlflow import MlflowClient

from children import in_child, lectern, run_stage
from lectern.registry.registered_model import RegisteredModel
from lectern.tracking.account import server_account, system_user
from registered import NAME, TRAINING_IMAGES, audit_log_file
from store_servers import ROOT, run_mlflow_server
from unnamed_user import run_unnamed

ADDRESS = "http://127.0.0.1:5001"
BASIC = "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"


@pytest.fixture(autouse=True)
def no_login(monkeypatch, tmp_path):
    """Remove every MLflow login that the machine of the tests has."""
    for name in (*BASIC, "NETRC"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def log_in(monkeypatch, name: str, password: str) -> None:
    for variable, value in zip(BASIC, (name, password), strict=True):
        monkeypatch.setenv(variable, value)


def test_the_account_is_read_from_every_place_that_the_client_logs_in_from(monkeypatch, tmp_path):
    assert server_account(ADDRESS) is None
    (tmp_path / ".mlflow").mkdir()
    login = "[mlflow]\nmlflow_tracking_username = file\nmlflow_tracking_password = secret\n"
    (tmp_path / ".mlflow/credentials").write_text(login)
    assert server_account(ADDRESS) == "file"
    log_in(monkeypatch, "environment", "secret")
    assert server_account(ADDRESS) == "environment"
    assert server_account("http://a%40b:secret@127.0.0.1:5001") == "a@b"
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login netrc password secret\n")
    assert server_account(ADDRESS) == "netrc"
    assert server_account("sqlite:///mlflow.db") is None


def test_the_system_user_is_overridden_by_lectern_user(monkeypatch):
    monkeypatch.setenv("LECTERN_USER", "ada")
    assert system_user() == "ada"


@pytest.mark.slow
def test_a_user_id_without_a_name_is_recorded_by_its_number():
    code, output = run_unnamed("from lectern.tracking.account import system_user; print(system_user())")
    assert (code, output) == (0, "uid-12345\n")


def create_accounts(address: str) -> None:
    """Run the Python lines of docs/server.md that create accounts."""
    (lines,) = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs/server.md").read_text(), re.MULTILINE | re.DOTALL)
    exec(lines.replace("https://mlflow.example.org", address))


@pytest.mark.postgres
@pytest.mark.faults
def test_with_the_roles_of_the_documentation_ada_promotes_and_bob_changes_nothing(
    evaluated_project, tmp_path, monkeypatch
):
    folder = tmp_path / "server"
    folder.mkdir()
    with run_mlflow_server(f"sqlite:///{folder / 'mlflow.db'}", folder) as address:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        log_in(monkeypatch, "admin", (folder / "admin-password").read_text().strip())
        ended = in_child(create_accounts, address)
        assert ended.code == 0, ended.said
        log_in(monkeypatch, "ada", "a long password")
        for words in (["reconcile"], ["promote", NAME], ["promote", NAME], ["rollback", NAME, "--version", "2"]):
            ended = lectern(*words)
            assert ended.code in (0, 1, 3) and "refuses" not in ended.said and "Traceback" not in ended.said, ended.said
        (first, *_) = json.loads(lectern("registry", "history", NAME, "--json").said.splitlines()[0])
        assert first["who"]["user"] == "ada"
        before, log = describe_store(address), audit_log_file()
        log_in(monkeypatch, "bob", "another long password")
        number = next(n for n in ("1", "2", "3") if int(n) != before[0]["champion"])
        ended = lectern("promote", NAME, "--version", number, "--force", "no permission")
        assert ended.code == 1 and "refused the change" in ended.said and "Traceback" not in ended.said, ended.said
        assert describe_store(address) == before and audit_log_file() == log
        (Path("metrics") / "best.json").write_text((Path("metrics") / "best.json").read_text().replace("0.", "0.0", 1))
        ended = in_child(run_stage, "register", "experiment=best", f"dataset={NAME}")
        assert (
            ended.code == 1
            and "refuses this operation for the account bob" in ended.said
            and "Traceback" not in ended.said
        ), ended.said
        assert describe_store(address) == before


def describe_store(address: str) -> tuple[dict[str, int], int, list[str]]:
    """Return the aliases, the number of versions and the decisions of the model in the store."""
    model = RegisteredModel(MlflowClient(address, address), NAME)
    assert len(model.versions) == len(TRAINING_IMAGES)
    return model.aliases, len(model.versions), sorted(model.decisions)
