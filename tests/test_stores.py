"""Test promotion, concurrency and reconcile in each kind of store: SQLite, PostgreSQL and a tracking server."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient

from children import Child, in_child, lectern, run_lectern
from lectern.artifacts.model_folder import load_model
from lectern.registry import audit_log
from lectern.registry.registered_model import RegisteredModel, model_names
from lectern.registry.version_identity import version_identity
from lectern.registry.version_record import DECISION_PREFIX
from lectern.tracking import runs
from lectern.tracking import store as tracking_store
from registered import BEST, BETTER, NAME, TRAINING_IMAGES, WEAK, audit_log_file, champion, paths_of, register
from store_servers import find_postgres, run_mlflow_server, run_postgres

NEEDS_POSTGRES = pytest.mark.postgres
KINDS = [
    "sqlite",
    pytest.param("postgres", marks=NEEDS_POSTGRES),
    pytest.param("server", marks=NEEDS_POSTGRES),
]


@pytest.fixture(scope="session")
def postgres():
    """Run PostgreSQL with a database `empty` that contains MLflow's tables.

    A copy of this database saves seconds per test.
    """
    programs = find_postgres()
    if programs is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    with run_postgres(programs) as server:
        address = server.create("empty")
        ended = in_child(lambda: MlflowClient(address, address).search_experiments())
        assert ended.code == 0, ended.said
        yield server


@pytest.fixture(scope="session")
def server(postgres, tmp_path_factory):
    """Run a tracking server on PostgreSQL that requires a name and a password.

    Return the address of the server and the password.
    """
    folder = tmp_path_factory.mktemp("server")
    with run_mlflow_server(postgres.create("served"), folder) as address:
        yield address, (folder / "admin-password").read_text().strip()


@pytest.fixture
def postgres_store(postgres, monkeypatch, project) -> str:
    """Return the address of an empty database."""
    # A forked child process must not inherit a database connection.
    monkeypatch.setenv("MLFLOW_SQLALCHEMYSTORE_POOLCLASS", "NullPool")
    monkeypatch.setattr(tracking_store, "ROOT", project)
    return postgres.create(f"test_{os.urandom(4).hex()}", template="empty")


@pytest.fixture
def server_store(server, monkeypatch):
    """Return the address of the tracking server, and empty the store of the server after the test."""
    address, password = server
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "admin")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", password)
    yield address
    client = MlflowClient(address, address)
    for name in model_names(client):
        client.delete_registered_model(name)
    for run in client.search_runs([tracking_store.experiment_id(client, "digits")]):
        client.delete_run(run.info.run_id)


def open_store(kind: str, request, monkeypatch) -> MlflowClient:
    """Return a client of an empty store of the given kind, and set MLFLOW_TRACKING_URI for the commands."""
    fixture = {"sqlite": "store", "postgres": "postgres_store", "server": "server_store"}[kind]
    address = request.getfixturevalue(fixture)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    return MlflowClient(address, address)


@pytest.fixture(params=KINDS)
def empty_client(request, evaluated_project, monkeypatch) -> MlflowClient:
    return open_store(request.param, request, monkeypatch)


@pytest.fixture
def filled_client(empty_client) -> MlflowClient:
    register(empty_client, *TRAINING_IMAGES)
    return empty_client


def read_json_line(*words: str):
    """Return the first line of a command's output as JSON."""
    ended = lectern(*words, "--json")
    assert ended.code == 0, ended.said
    return json.loads(ended.said.splitlines()[0])


def read_history() -> list[tuple[str, str | None, str]]:
    """Return the action, the old experiment and the new experiment of each decision."""
    decisions = read_json_line("registry", "history", NAME)
    return [
        (entry["action"], entry["from"] and entry["from"]["experiment"], entry["to"]["experiment"])
        for entry in decisions
    ]


@pytest.mark.slow
def test_a_model_is_promoted_refused_rolled_back_and_verified(filled_client):
    assert lectern("promote", NAME, "--version", BETTER).code == 0
    refused = lectern("promote", NAME, "--version", WEAK)
    assert refused.code == 3 and "does not pass the gate" in refused.said and champion(filled_client) == "better"
    assert f"{paths_of('weak').metrics['score']:.4f}" in refused.said
    assert lectern("promote", NAME).code == 0 and champion(filled_client) == "best"
    assert lectern("rollback", NAME).code == 0 and champion(filled_client) == "better"
    assert lectern("rollback", NAME, "--version", BEST).code == 0 and champion(filled_client) == "best"
    promotions = [("promote", None, "better"), ("promote", "better", "best")]
    assert read_history() == [*promotions, ("rollback", "best", "better"), ("rollback", "better", "best")]
    assert lectern("verify", f"{NAME}@champion").code == 0


@pytest.mark.slow
def test_lectern_uses_aliases_and_no_stages_of_mlflow(filled_client):
    assert lectern("promote", NAME).code == 0
    stages = {version.current_stage for version in filled_client.search_model_versions(f"name = '{NAME}'")}
    assert stages == {"None"}
    assert set(RegisteredModel(filled_client, NAME).aliases) == {"champion", "challenger"}


@pytest.mark.slow
def test_the_lineage_of_a_champion_is_intact(filled_client):
    assert lectern("promote", NAME).code == 0
    ended = lectern("lineage", NAME, "--json")
    links = {link["link"]: link for link in json.loads(ended.said.splitlines()[0])}
    assert all(links[name]["intact"] for name in ("run", "version", "model folder"))
    assert links["alias"]["value"] == "champion"


@pytest.mark.slow
def test_mlflow_loads_the_champion(filled_client):
    assert lectern("promote", NAME).code == 0
    ended = in_child(compare_predictions_with_mlflow, os.environ["MLFLOW_TRACKING_URI"])
    assert ended.code == 0, ended.said


def compare_predictions_with_mlflow(store: str) -> None:
    import mlflow

    mlflow.set_tracking_uri(store)
    images = np.load(f"data/processed/{NAME}/test_images.npy")[:20]
    predictions = mlflow.pyfunc.load_model(f"models:/{NAME}@champion").predict(images)
    assert np.array_equal(predictions, load_model(Path("models/best")).predict(images))


@pytest.mark.slow
def test_eight_concurrent_promotions_leave_one_champion_and_a_complete_log(filled_client, tmp_path, request):
    """Eight checkouts force a promotion at the same time."""
    children = [
        Child(run_in_checkout, tmp_path / f"checkout{number}", "promote", NAME, "--version", version, "--force", "race")
        for number, version in enumerate([WEAK, BETTER, BEST] * 2 + [WEAK, BETTER])
    ]
    results = [child.ended() for child in children]
    assert {result.code for result in results} <= {0, 4}, [result.said for result in results]
    moved = [result for result in results if "is the champion." in result.said or "just after version" in result.said]
    not_moved = [result for result in results if result.code == 4 or "is already the champion" in result.said]
    decisions = audit_log.read_decisions(RegisteredModel(filled_client, NAME))
    assert len(decisions) == len(moved) >= 1
    assert {*map(id, moved), *map(id, not_moved)} == {*map(id, results)}
    assert set(RegisteredModel(filled_client, NAME).aliases) == {"champion", "challenger"}
    # A tracking server has no lock, so promotions through a server can end with a reported conflict.
    if request.node.callspec.params["empty_client"] != "server":
        assert all(result.code == 0 for result in results)
        targets = [None, *(decision["to"]["experiment"] for decision in decisions)]
        origins = [decision["from"] and decision["from"]["experiment"] for decision in decisions]
        assert origins == targets[:-1] and champion(filled_client) == targets[-1]


def run_in_checkout(folder: Path, *words: str) -> None:
    """Run a command in a new folder that shares the configs and data of the current folder."""
    folder.mkdir()
    for name in ("conf", "data", "dvc.yaml", "experiments.yaml"):
        (folder / name).symlink_to(Path(name).absolute())
    os.chdir(folder)
    run_lectern(*words)


@pytest.mark.slow
def test_decisions_of_another_checkout_are_read_from_the_store(filled_client, tmp_path):
    assert in_child(run_in_checkout, tmp_path / "other", "promote", NAME, "--version", BETTER).code == 0
    log = Path("registry", f"{NAME}.jsonl")
    assert not log.exists() and read_history() == [("promote", None, "better")]
    assert lectern("promote", NAME, "--version", BEST).code == 0
    assert [json.loads(line)["to"]["experiment"] for line in log.read_text().splitlines()] == ["better", "best"]
    assert lectern("rollback", NAME).code == 0 and champion(filled_client) == "better"


@pytest.fixture(params=KINDS)
def new_store_client(request, registered_client, tmp_path, monkeypatch) -> MlflowClient:
    """Make three decisions in a SQLite store. Then return a client of a second, empty store."""
    for words in (["promote", "--version", BETTER], ["promote", "--version", BEST], ["rollback"]):
        assert lectern(words[0], NAME, *words[1:]).code == 0
    if request.param == "sqlite":
        (tmp_path / "new").mkdir()
        address = f"sqlite:///{shutil.copy(request.getfixturevalue('empty_store'), tmp_path / 'new')}"
        shutil.rmtree(tmp_path / "mlartifacts", ignore_errors=True)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        return MlflowClient(address, address)
    return open_store(request.param, request, monkeypatch)


@pytest.mark.slow
def test_reconcile_restores_runs_versions_decisions_and_aliases_in_a_new_store(new_store_client):
    log = audit_log_file()
    ended = lectern("reconcile")
    assert ended.code == 0 and "wrote 3 decisions back to the tracking store" in ended.said, ended.said
    for name in TRAINING_IMAGES:
        run = runs.find_run(new_store_client, "digits", paths_of(name).weights)
        points = new_store_client.get_metric_history(run.info.run_id, "train/loss")
        assert [(point.step, point.value) for point in points] == [(1, 1.0), (2, 0.5)]
        assert run.data.tags[runs.RESTORED] == "true"
    model = RegisteredModel(new_store_client, NAME)
    assert champion(new_store_client) == "better" and model.get("challenger").experiment == "best"
    versions = new_store_client.search_model_versions(f"name = '{NAME}'")
    decisions = [key for version in versions for key in version.tags if key.startswith(DECISION_PREFIX)]
    assert len(decisions) == 3 and audit_log_file() == log
    assert lectern("reconcile").said.strip() == "Nothing was missing."
    experiment = new_store_client.get_experiment_by_name("lectern/digits").experiment_id
    models = new_store_client.search_logged_models([experiment])
    assert sorted(logged.name for logged in models) == sorted(TRAINING_IMAGES)
    linked = [json.loads(logged.tags["mlflow.modelVersions"]) for logged in models]
    assert sorted(link["version"] for (link,) in linked) == [record.number for record in reversed(model.versions)]
    number = model.find(version_identity(paths_of("best")).digest).number
    assert lectern("rollback", NAME, "--version", str(number)).code == 0


@pytest.mark.slow
def test_reconcile_reports_what_it_cannot_restore(new_store_client):
    weights = paths_of("best").weights
    shutil.rmtree("models/best")
    output = lectern("reconcile").said
    assert f"{NAME}: cannot restore best {weights[:12]}" in output and champion(new_store_client) == "better"


@pytest.mark.postgres
def test_a_promotion_through_a_server_is_logged_with_the_account_of_the_server(
    server_store, evaluated_project, monkeypatch
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server_store)
    monkeypatch.setenv("LECTERN_USER", "another name")
    register(MlflowClient(server_store, server_store), "best")
    assert lectern("promote", NAME).code == 0
    (decision,) = read_json_line("registry", "history", NAME)
    assert decision["who"]["user"] == "admin"


@pytest.mark.postgres
def test_a_server_refuses_a_wrong_password_without_printing_it(server_store, evaluated_project, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server_store)
    with monkeypatch.context() as wrong:
        wrong.setenv("MLFLOW_TRACKING_PASSWORD", "a guess")
        ended = lectern("registry", "list")
    assert ended.code == 1 and "does not answer" in ended.said and "a guess" not in ended.said


@pytest.mark.postgres
def test_the_files_of_a_version_are_stored_only_by_the_server(server_store, evaluated_project, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server_store)
    (version,) = register(MlflowClient(server_store, server_store), "best")
    assert version.source.startswith("mlflow-artifacts:/")
    assert not Path("mlartifacts").exists() and not Path("mlruns").exists()
