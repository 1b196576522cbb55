"""The whole life of a model, and promotions at the same moment, in each kind of store: SQLite, PostgreSQL, a server."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient

from children import Child, in_child, lectern, run_lectern
from lectern.artifacts import model_folder
from lectern.registry import audit_log, versions
from lectern.tracking import store as runs
from registered import BEST, BETTER, NAME, TAUGHT, WEAK, champion, paths_of, register
from servers import find_postgres, running_postgres, running_server

NONE = "there is no PostgreSQL on this machine (Debian: apt-get install postgresql)"
REAL = pytest.mark.postgres
KINDS = ["sqlite", pytest.param("postgres", marks=REAL), pytest.param("server", marks=REAL)]


@pytest.fixture(scope="session")
def postgres():
    """A PostgreSQL, with MLflow's tables in its database `empty`: making them takes seconds, a copy none."""
    bin = find_postgres()
    if bin is None:
        pytest.skip(NONE)
    with running_postgres(bin) as server:
        address = server.create("empty")
        ended = in_child(lambda: MlflowClient(address, address).search_experiments())
        assert ended.code == 0, ended.said
        yield server


@pytest.fixture(scope="session")
def server(postgres, tmp_path_factory):
    """The address of a server on PostgreSQL that asks for a name and a password, and the password."""
    folder = tmp_path_factory.mktemp("server")
    with running_server(postgres.create("served"), folder) as address:
        yield address, (folder / "admin-password").read_text().strip()


@pytest.fixture
def a_postgres(postgres, monkeypatch, house) -> str:
    monkeypatch.setenv("MLFLOW_SQLALCHEMYSTORE_POOLCLASS", "NullPool")  # a forked child must not inherit a connection
    monkeypatch.setattr(runs, "ROOT", house)
    return postgres.create(f"test_{os.urandom(4).hex()}", template="empty")


@pytest.fixture
def a_server(server, monkeypatch):
    """The server, emptied afterwards."""
    address, password = server
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "admin")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", password)
    yield address
    client = MlflowClient(address, address)
    for name in versions.names(client):
        client.delete_registered_model(name)
    for run in client.search_runs([runs.experiment_id(client, "digits")]):
        client.delete_run(run.info.run_id)


def a_client(kind: str, request, monkeypatch) -> MlflowClient:
    """A client of an empty store of that kind, which the commands use too."""
    address = request.getfixturevalue({"sqlite": "store", "postgres": "a_postgres", "server": "a_server"}[kind])
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    return MlflowClient(address, address)


@pytest.fixture(params=KINDS)
def fresh(request, shop, monkeypatch) -> MlflowClient:
    return a_client(request.param, request, monkeypatch)


@pytest.fixture
def stocked_too(fresh) -> MlflowClient:
    register(fresh, *TAUGHT)
    return fresh


def history() -> list[tuple[str, str | None, str]]:
    """What `lectern registry history` tells a script: action, from, to."""
    ended = lectern("registry", "history", NAME, "--json")
    assert ended.code == 0, ended.said
    told = json.loads(ended.said)
    return [(line["action"], line["from"] and line["from"]["experiment"], line["to"]["experiment"]) for line in told]


def test_a_model_is_promoted_refused_rolled_back_verified_and_loaded(stocked_too):
    assert lectern("promote", NAME, "--version", BETTER).code == 0
    refused = lectern("promote", NAME, "--version", WEAK)
    assert refused.code == 3 and "does not pass the gate" in refused.said and champion(stocked_too) == "better"
    assert f"{paths_of('weak').metrics['score']:.4f}" in refused.said
    assert lectern("promote", NAME).code == 0 and champion(stocked_too) == "best"
    assert lectern("rollback", NAME).code == 0 and champion(stocked_too) == "better"
    assert lectern("rollback", NAME, "--version", BEST).code == 0 and champion(stocked_too) == "best"
    assert {version.current_stage for version in versions.versions(stocked_too, NAME)} == {"None"}  # aliases alone
    steps = [("promote", None, "better"), ("promote", "better", "best")]
    assert history() == [*steps, ("rollback", "best", "better"), ("rollback", "better", "best")]
    assert lectern("verify", f"{NAME}@champion").code == 0
    links = {link["link"]: link for link in json.loads(lectern("lineage", NAME, "--json").said.splitlines()[0])}
    assert all(links[link]["holds"] for link in ("run", "version", "model folder", "processed data"))
    assert links["alias"]["value"] == "champion"
    ended = in_child(answer_by_mlflow, os.environ["MLFLOW_TRACKING_URI"])
    assert ended.code == 0, ended.said


def answer_by_mlflow(store: str) -> None:
    import mlflow

    mlflow.set_tracking_uri(store)
    images = np.load(f"data/processed/{NAME}/test_images.npy")[:20]
    answered = mlflow.pyfunc.load_model(f"models:/{NAME}@champion").predict(images)
    assert np.array_equal(answered, model_folder.load_model(Path("models/best")).predict(images))


def test_eight_promotions_at_once_leave_one_champion_and_a_full_trail(stocked_too, tmp_path, request):
    """From eight checkouts, each of a version that is not the champion when it is asked, whatever the gate says."""
    started = [
        Child(in_a_checkout, tmp_path / f"checkout{number}", "promote", NAME, "--version", version, "--force", "a race")
        for number, version in enumerate([WEAK, BETTER, BEST] * 2 + [WEAK, BETTER])
    ]
    ended = [child.ended() for child in started]
    assert {one.code for one in ended} <= {0, 4}, [one.said for one in ended]
    moved = [one for one in ended if "is the champion." in one.said or "just after version" in one.said]
    told = [one for one in ended if one.code == 4 or "is the champion already" in one.said]
    decisions = audit_log.read_decisions(stocked_too, NAME)
    assert len(decisions) == len(moved) >= 1 and {*map(id, moved), *map(id, told)} == {*map(id, ended)}
    assert set(versions.aliases(stocked_too, NAME)) == {"champion", "challenger"}
    if request.node.callspec.params["fresh"] != "server":  # which has no lock: there the overtaken are told
        assert all(one.code == 0 for one in ended)
        ends = [None, *(decision["to"]["experiment"] for decision in decisions)]
        starts = [decision["from"] and decision["from"]["experiment"] for decision in decisions]
        assert starts == ends[:-1] and champion(stocked_too) == ends[-1]


def in_a_checkout(folder: Path, *words: str) -> None:
    folder.mkdir()
    for name in ("conf", "data", "dvc.yaml"):
        (folder / name).symlink_to(Path(name).absolute())
    os.chdir(folder)
    run_lectern(*words)


def test_decisions_of_another_checkout_are_known_here(stocked_too, tmp_path):
    assert in_child(in_a_checkout, tmp_path / "there", "promote", NAME, "--version", BETTER).code == 0
    assert not Path("registry", f"{NAME}.jsonl").exists() and history() == [("promote", None, "better")]
    assert lectern("promote", NAME, "--version", BEST).code == 0
    lines = Path("registry", f"{NAME}.jsonl").read_text().splitlines()
    assert [json.loads(line)["to"]["experiment"] for line in lines] == ["better", "best"]
    assert lectern("rollback", NAME).code == 0 and champion(stocked_too) == "better"


@pytest.fixture(params=KINDS)
def moved_to(request, stocked, tmp_path, monkeypatch) -> MlflowClient:
    """A second store, after a life in a first one of SQLite."""
    for words in (["promote", "--version", BETTER], ["promote", "--version", BEST], ["rollback"]):
        assert lectern(words[0], NAME, *words[1:]).code == 0
    if request.param == "sqlite":  # the same place, but the file is gone
        for path in (tmp_path / "mlflow.db", tmp_path / "mlartifacts"):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        address = stocked.tracking_uri
        shutil.copyfile(request.getfixturevalue("empty_store"), tmp_path / "mlflow.db")
        return MlflowClient(address, address)
    return a_client(request.param, request, monkeypatch)


def test_a_new_store_gets_back_every_run_version_decision_and_alias(moved_to):
    before = Path("registry", f"{NAME}.jsonl").read_bytes()
    ended = lectern("reconcile")
    assert ended.code == 0 and "3 decisions written back" in ended.said, ended.said
    for name in TAUGHT:
        run = runs.find_run(moved_to, "digits", paths_of(name).weights)
        points = moved_to.get_metric_history(run.info.run_id, "train_loss")
        assert [(point.step, point.value) for point in points] == [(1, 1.0), (2, 0.5)]
        assert run.data.tags[runs.RESTORED] == "true"
    assert champion(moved_to) == "better"
    assert versions.get_version(moved_to, NAME, "challenger").tags["lectern.experiment"] == "best"
    tagged = [key for one in versions.versions(moved_to, NAME) for key in one.tags if key.startswith(audit_log.TAG)]
    assert len(tagged) == 3 and Path("registry", f"{NAME}.jsonl").read_bytes() == before
    assert lectern("reconcile").said.strip() == "Nothing was missing."
    assert lectern("rollback", NAME, "--version", number_of(moved_to, "best")).code == 0


def number_of(client: MlflowClient, experiment: str) -> str:
    return str(versions.find_version(client, NAME, paths_of(experiment).version_tags()).version)


def test_reconcile_says_what_is_lost(moved_to):
    weights = paths_of("best").weights
    shutil.rmtree("models/best")
    said = lectern("reconcile").said
    assert f"{NAME}: best {weights[:12]} is lost" in said and champion(moved_to) == "better"


@pytest.mark.postgres
def test_a_promotion_through_a_server_is_told_under_the_name_that_the_server_knows(a_server, shop, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", a_server)
    monkeypatch.setenv("LECTERN_USER", "somebody else")
    register(MlflowClient(a_server, a_server), "best")
    assert lectern("promote", NAME).code == 0
    (told,) = json.loads(lectern("registry", "history", NAME, "--json").said.splitlines()[0])
    assert told["who"]["user"] == "admin"


@pytest.mark.postgres
def test_a_server_lets_nobody_in_without_a_password(a_server, shop, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", a_server)
    with monkeypatch.context() as guessing:
        guessing.setenv("MLFLOW_TRACKING_PASSWORD", "a guess")
        ended = lectern("registry", "list")
    assert ended.code == 1 and "does not answer" in ended.said and "a guess" not in ended.said


@pytest.mark.postgres
def test_files_go_through_the_server_and_nowhere_else(a_server, shop, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", a_server)
    (version,) = register(MlflowClient(a_server, a_server), "best")
    assert version.source.startswith("mlflow-artifacts:/")
    assert not Path("mlartifacts").exists() and not Path("mlruns").exists()
