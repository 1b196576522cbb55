"""Test trainings and preprocessing on a disk that becomes full: they resume, and no file is half-written."""

import shutil
from pathlib import Path

import pandas as pd
import pytest

from children import in_child, run_stage, warm
from short_training import client, list_runs, logged_points, project, read_history, train, train_until

__all__ = ["client", "project"]  # imported because they are fixtures


@pytest.mark.slow
@pytest.mark.nightly
def test_training_resumes_after_the_disk_was_full_during_a_checkpoint(project, client):
    from lectern.training import checkpointing

    def fail_to_save(checkpoint: object, file) -> None:
        file.write(b"half of it")
        raise OSError(28, "No space left on device")

    ended = train_until(
        checkpointing.AtomicCheckpointIO,
        "save_checkpoint",
        2,
        lambda: setattr(checkpointing.torch, "save", fail_to_save),
    )
    assert ended.code == 1 and "Traceback" not in ended.said
    assert "last.ckpt could not be written: [Errno 28] No space left on device" in ended.said
    assert not Path("models").exists() and not list(Path("runs").glob("*/*.part"))
    assert train().code == 0
    assert logged_points(client, list_runs(client)[0]) == read_history(Path("models/brief"))


@pytest.mark.slow
def test_training_resumes_after_the_disk_was_full_during_the_export(project, client):
    from lectern.artifacts import model_folder

    def limit_file_size() -> None:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    ended = train_until(model_folder, "save_file", 1, limit_file_size)
    assert ended.code == 1 and "Traceback" not in ended.said, ended.said
    assert "could not be written to runs/" in ended.said and "File too large" in ended.said
    assert not Path("models/brief/weights.safetensors").exists() and not Path("models/brief/module.json").exists()
    assert train().code == 0
    assert pd.read_csv("models/brief/history.csv")["step"].max() == 8


def test_a_full_disk_in_preprocessing_leaves_no_dataset(project, raw_digits):
    import resource

    def preprocess_with_limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
        run_stage("preprocess", "dataset=sample_digits")

    warm()
    shutil.copytree(raw_digits, "data/raw/sample_digits")
    shutil.rmtree("data/processed/sample_digits")
    ended = in_child(preprocess_with_limit)
    assert ended.code == 1 and "Traceback" not in ended.said, ended.said
    assert "Free some space and run the same command again. No half-written file was left." in ended.said
    assert list(Path("data/processed").iterdir()) == []
    assert in_child(run_stage, "preprocess", "dataset=sample_digits").code == 0
    assert Path("data/processed/sample_digits/facts.json").is_file()
