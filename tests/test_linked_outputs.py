"""Test outputs that are symbolic or hard links into DVC's cache, and test that links to other files are refused."""

import os
import shutil
from pathlib import Path

import pytest
from dvc.cli import main as dvc

from checkout import write_experiments
from children import in_child, lectern, run_stage, warm
from lectern.errors import UserError
from lectern.registry.reconcile import reconcile
from lectern.registry.registered_model import RegisteredModel, model_names
from lectern.registry.versions import download_model_folder
from registered import NAME, champion, register, skip_plots

OUTPUTS = ("models/best", "reports/best", "metrics/best.json", "cards/best.md", f"data/processed/{NAME}")
SECRET = "a private key"


@pytest.fixture
def shared_cache(client, evaluated_project, tmp_path) -> Path:
    """Change to a DVC project with one evaluated experiment and a cache outside the project.

    The cache is still empty.
    """
    experiments = {"best": {"dataset": NAME, "task": "digits", "model": "digits_cnn"}}
    lists = {"origins": [], "datasets": {}, "experiments": experiments}
    write_experiments(Path("experiments.yaml"), lists)
    assert dvc(["init", "--no-scm", "--quiet"]) == 0
    assert dvc(["cache", "dir", str(tmp_path / "shared cache"), "--quiet"]) == 0
    return tmp_path / "shared cache"


def cache_outputs(kind: str) -> None:
    """Replace the outputs of the stages by links into DVC's cache."""
    pipeline = Path("dvc.yaml")
    pipeline.rename("pipeline")  # The file is renamed, because DVC refuses to add an output of a stage.
    assert dvc(["config", "cache.type", kind, "--quiet"]) == 0
    assert dvc(["add", "--quiet", *OUTPUTS]) == 0
    Path("pipeline").rename(pipeline)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def evaluate_and_register() -> None:
    skip_plots()
    run_stage("evaluate", "experiment=best", f"dataset={NAME}")
    run_stage("register", "experiment=best", f"dataset={NAME}")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["symlink", pytest.param("hardlink", marks=pytest.mark.nightly)])
def test_outputs_that_dvc_links_are_registered_and_used(shared_cache, client, tmp_path, kind):
    cache_outputs(kind)
    weights = Path("models/best/weights.safetensors")
    assert weights.is_symlink() == (kind == "symlink") and (kind == "symlink" or weights.stat().st_nlink > 1)
    cached = contents(shared_cache)
    ended = lectern("reconcile")
    assert ended.code == 0 and f"best: {NAME} version 1" in ended.said, ended.said
    version = RegisteredModel(client, NAME).get("1")
    assert contents(download_model_folder(client, version)) == contents(Path("models/best"))
    stored = [path for path in (tmp_path / "mlartifacts").rglob("*") if not path.is_dir()]
    assert not [path for path in stored if path.is_symlink() or not path.stat().st_mode & 0o200]
    lineage = lectern("lineage", f"{NAME}@1").said
    assert all("intact" in line for line in lineage.splitlines() if line.startswith(("model folder", "version")))
    warm("registry.model_card")
    ended = in_child(evaluate_and_register)
    assert ended.code == 0 and "version 1" in ended.said, ended.said
    assert contents(shared_cache) == cached
    assert lectern("promote", NAME).code == 0 and champion(client) == "best"
    images = f"data/processed/{NAME}/test_images.npy"
    assert lectern("predict", NAME, "--input", images, "--output", "answers.csv").code == 0


@pytest.mark.nightly
def test_models_can_be_on_another_disk(shared_cache, client, tmp_path):
    shutil.move("models", tmp_path / "scratch")
    Path("models").symlink_to(tmp_path / "scratch")
    assert lectern("reconcile").code == 0
    version = RegisteredModel(client, NAME).get("1")
    assert contents(download_model_folder(client, version)) == contents(tmp_path / "scratch" / "best")


@pytest.mark.parametrize(
    "path", ["models/best/notes.txt", "models/best", "reports/best/plot.png", "reports/best/more", "cards/best.md"]
)
def test_a_link_to_a_file_that_is_no_output_is_refused(shared_cache, client, tmp_path, path):
    private = tmp_path / "private"
    output = Path(path)
    if output.is_dir():
        shutil.move(output, private)
    private.mkdir(exist_ok=True)
    (private / "id_ed25519").write_text(SECRET)
    output.unlink(missing_ok=True)
    output.symlink_to(private if output.name in ("best", "more") else private / "id_ed25519")
    (message,) = reconcile(client)
    assert f"{path} is a symbolic link to {output.resolve()}" in message and "The link is not uploaded" in message
    with pytest.raises(UserError, match="is a symbolic link to"):
        register(client, "best")
    assert model_names(client) == [] and SECRET not in str(contents(tmp_path / "mlartifacts"))


def test_a_config_cannot_declare_any_folder_as_the_cache(shared_cache, client, tmp_path):
    (tmp_path / "files" / "md5" / "private").mkdir(parents=True)
    (tmp_path / "files" / "md5" / "private" / "key").write_text(SECRET)
    assert dvc(["cache", "dir", str(tmp_path), "--quiet"]) == 0
    Path("models/best/notes.txt").symlink_to(tmp_path / "files" / "md5" / "private" / "key")
    assert "models/best/notes.txt is a symbolic link" in "".join(reconcile(client)) and model_names(client) == []


def test_a_link_to_a_deleted_file_of_the_cache_is_reported(shared_cache, client):
    cache_outputs("symlink")
    os.remove(Path("models/best/history.csv").resolve())
    (message,) = reconcile(client)
    assert "models/best/history.csv is a symbolic link" in message and "dvc pull" in message
    assert model_names(client) == []
