"""Test that downloaded files of versions do not stay behind in the folder for temporary files."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lectern.tracking.downloads import download

DOWNLOAD = """
import sys
from mlflow import MlflowClient
from lectern.tracking.downloads import download

store = sys.argv[1]
client = MlflowClient(store, store)
run = client.create_run(client.create_experiment("downloads")).info.run_id
client.log_text(run, "content", "a.txt")
print(download(f"runs:/{run}/a.txt", store).read_text())
"""


@pytest.fixture
def temporary_files(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr("tempfile.tempdir", None)  # read TMPDIR again
    return folder


@pytest.mark.slow
def test_a_downloaded_file_is_deleted_when_the_process_ends(empty_store, temporary_files, tmp_path):
    shutil.copyfile(empty_store, tmp_path / "mlflow.db")
    command = [sys.executable, "-c", DOWNLOAD, f"sqlite:///{tmp_path / 'mlflow.db'}"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert ended.stdout == "content\n", ended.stderr
    assert list(temporary_files.iterdir()) == []


def test_a_file_of_a_local_store_is_not_copied(tmp_path, temporary_files):
    (tmp_path / "artifact").write_text("content")
    assert download((tmp_path / "artifact").as_uri(), "sqlite://") == tmp_path / "artifact"
    assert list(temporary_files.iterdir()) == []
