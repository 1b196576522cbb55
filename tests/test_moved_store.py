"""Test that a local store works after its checkout was moved or copied, and that the original store does not change."""

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from mlflow import MlflowClient

from children import Child, in_child, lectern, run_lectern, run_stage, warm
from lectern.registry.reconcile import reconcile
from lectern.registry.registered_model import RegisteredModel
from lectern.registry.versions import download_model_folder
from lectern.tracking.moved_store import ADDRESSES
from lectern.tracking.store import connect, store_address
from registered import NAME, champion, promote
from short_training import SHORT_TRAINING

S3, OTHER_FOLDER = "s3://bucket/mlartifacts/other", "/data/mlartifacts/other folder"


@pytest.fixture
def original(registered_client, evaluated_project, tmp_path, monkeypatch) -> Path:
    """Return a checkout with three registered experiments, a champion and a local store."""
    promote(registered_client, "2")
    registered_client.create_experiment("s3", S3)
    registered_client.create_experiment("other", OTHER_FOLDER)
    folder = tmp_path / "the original"
    shutil.copytree(evaluated_project, folder)
    shutil.move(tmp_path / "mlflow.db", folder)
    shutil.copytree(tmp_path / "mlartifacts", folder / "mlartifacts")
    shutil.rmtree(tmp_path / "mlartifacts")
    enter(folder, monkeypatch)
    connect()
    return folder


def enter(checkout: Path, monkeypatch) -> None:
    monkeypatch.chdir(checkout)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{checkout / 'mlflow.db'}")


def files(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Return the content and the time of the last change of every file."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns) for path in paths}


def recorded_addresses(database: Path) -> set[str]:
    with closing(sqlite3.connect(database)) as connection:
        columns = [connection.execute(f"SELECT {column} FROM {table}") for table, column in ADDRESSES]
        return {address for rows in columns for (address,) in rows if address}


def assert_store_works(checkout: Path) -> None:
    """Check that all files of the store are found in a checkout, with Lectern and with MLflow."""
    assert lectern("reconcile").said.strip() == "Nothing was missing."
    client = MlflowClient(f"sqlite:///{checkout / 'mlflow.db'}")
    for version in RegisteredModel(client, NAME).versions:
        folder = download_model_folder(client, version)
        assert folder.is_relative_to(checkout) and (folder / "weights.safetensors").is_file()
    addresses = recorded_addresses(checkout / "mlflow.db") - {S3, OTHER_FOLDER}
    assert [address for address in addresses if address.startswith(f"{checkout.as_uri()}/mlartifacts/")]
    assert not [address for address in addresses if "original" in address and "original" not in checkout.name]


@pytest.fixture
def copy(original, monkeypatch) -> Path:
    """Change to a copy of the original."""
    copy = shutil.copytree(original, original.parent / "copy")
    enter(copy, monkeypatch)
    return copy


@pytest.mark.slow
@pytest.mark.nightly
def test_a_moved_checkout_works_and_the_old_folder_is_not_created_again(original, monkeypatch):
    moved = original.rename(original.parent / "moved to 100 %")
    enter(moved, monkeypatch)
    assert champion(connect()) == "better"
    assert_store_works(moved)
    assert {S3, OTHER_FOLDER} <= recorded_addresses(moved / "mlflow.db")
    shutil.rmtree("mlartifacts/digits")
    ended = lectern("reconcile")
    assert ended.code == 0 and "the files of" in ended.said, ended.said
    assert lectern("promote", NAME, "--version", "3").code == 0 and lectern("rollback", NAME).code == 0
    assert not original.exists()


def change_everything() -> None:
    """Log a report and a text, register a version and move the alias `champion`."""
    from registered import register, skip_plots

    skip_plots()
    run_stage("evaluate", "experiment=best", f"dataset={NAME}")
    metrics = Path("metrics/weak.json")
    metrics.write_text(metrics.read_text().replace('"score"', '"extra": 1,\n "score"'))
    client = connect()
    (version,) = register(client, "weak")
    client.log_text(version.run_id, "text", "text.txt")
    run_lectern("promote", NAME, "--version", str(version.number), "--force", "a copy")


@pytest.mark.nightly
def test_a_copy_writes_nothing_to_the_original(original, copy, monkeypatch):
    before = files(original)
    assert in_child(change_everything).code == 0
    assert_store_works(copy)
    assert files(original) == before
    enter(original, monkeypatch)
    assert champion(connect()) == "better" and files(original) == before


@pytest.mark.slow
def test_a_stage_in_a_copy_trains_into_the_store_of_the_copy(original, copy):
    before = files(original)
    warm()
    ended = in_child(run_stage, "train", *SHORT_TRAINING)
    assert ended.code == 0, ended.said
    assert files(original) == before


@pytest.mark.nightly
def test_eight_commands_at_once_correct_the_addresses_of_a_copy(copy):
    warm("registry.overview")
    ended = [child.ended() for child in [Child(run_lectern, "registry", "list") for _ in range(8)]]
    assert [result.code for result in ended] == [0] * 8, ended
    assert_store_works(copy)


@pytest.mark.nightly
def test_a_database_without_its_artifacts_is_reported_with_the_remedies(original, monkeypatch):
    before = files(original)
    copy = original.parent / "copy"
    shutil.copytree(original, copy, ignore=shutil.ignore_patterns("mlartifacts"))
    enter(copy, monkeypatch)
    ended = lectern("registry", "list")
    artifacts = copy / "mlartifacts"
    assert ended.code == 1 and f"cp -r '{original / 'mlartifacts'}' '{artifacts}'" in ended.said, ended.said
    artifacts.mkdir()
    assert "the files of" in "".join(reconcile(connect())) and "Nothing was missing" in lectern("reconcile").said
    assert files(original) == before


def test_a_store_that_is_reached_through_a_link_is_not_changed(original, monkeypatch):
    before = files(original)
    link = original.parent / "link"
    link.symlink_to(original)
    enter(link, monkeypatch)
    assert lectern("registry", "list").code == 0 and files(original) == before


def test_an_artifact_folder_that_cannot_be_created_is_reported_before_the_training(project, tmp_path):
    (tmp_path / "mlartifacts").write_text("This is a file.")
    warm()
    ended = in_child(run_stage, "train", *SHORT_TRAINING)
    assert ended.code == 1 and f"cannot be written to {tmp_path / 'mlartifacts'}" in ended.said, ended.said
    assert "Traceback" not in ended.said and not list(Path("runs").rglob("*.ckpt"))


@pytest.mark.slow
def test_a_folder_of_another_machine_is_not_created(project, store, tmp_path):
    missing = tmp_path / "other machine" / "artifacts"
    MlflowClient(store).create_experiment("lectern/digits", missing.as_uri())
    warm()
    ended = in_child(run_stage, "train", *SHORT_TRAINING)
    assert ended.code == 1 and f"keeps artifacts in {missing}, which does not exist" in ended.said, ended.said
    assert not missing.parent.exists()


@pytest.mark.slow
def test_a_new_store_keeps_the_artifacts_of_all_experiments_next_to_it(project, monkeypatch):
    Path("new").mkdir()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{project / 'new' / 'mlflow.db'}")
    client = connect()
    location = client.get_experiment_by_name("Default").artifact_location
    assert location == (project / "new" / "mlartifacts" / "Default").as_uri()
    os.rename("new", "moved")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{project / 'moved' / 'mlflow.db'}")
    run = connect().create_run("0")
    assert run.info.artifact_uri.startswith((project / "moved").as_uri())


@pytest.mark.parametrize("folder", ["", "demo"])
def test_a_copy_that_uses_the_environment_of_the_original_has_a_store_of_its_own(
    tmp_path, empty_store, monkeypatch, folder
):
    (tmp_path / "src" / "lectern").mkdir(parents=True)
    (tmp_path / "src" / "lectern" / "__init__.py").touch()
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "src").symlink_to("../src")
    shutil.copyfile(empty_store, tmp_path / "mlflow.db")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path / folder)
    assert connect().tracking_uri == f"sqlite:///{tmp_path / 'mlflow.db'}"


def test_a_queued_experiment_is_recorded_in_the_store_of_the_checkout_that_started_it(tmp_path, monkeypatch):
    """DVC runs a queued experiment in a temporary checkout and deletes this checkout after the run."""
    temporary = tmp_path / ".dvc" / "tmp" / "exps" / "tmp123"
    for checkout in (tmp_path, temporary):
        (checkout / "src" / "lectern").mkdir(parents=True)
        (checkout / "src" / "lectern" / "__init__.py").touch()
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(temporary)
    assert store_address() == f"sqlite:///{temporary / 'mlflow.db'}"
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    assert store_address() == f"sqlite:///{tmp_path / 'mlflow.db'}"
