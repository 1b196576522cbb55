"""Test the Dockerfiles in deploy/ without Docker: the copied files exist and are enough to run the server."""

import shutil
from fnmatch import fnmatch
from pathlib import Path

import pytest

from lectern_server import run_server

ROOT = Path(__file__).parents[1]
DOCKERFILES = sorted(ROOT.glob("deploy/*/Dockerfile"))


def copied_paths(dockerfile: Path) -> list[str]:
    """Return the paths that the COPY instructions of a Dockerfile copy from the checkout."""
    lines = [line.split() for line in dockerfile.read_text().splitlines() if line.startswith("COPY ")]
    return [path for _, *sources, _ in lines for path in sources]


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.parent.name)
def test_a_dockerfile_copies_existing_files_that_its_dockerignore_includes(dockerfile):
    lines = dockerfile.with_name("Dockerfile.dockerignore").read_text().split()
    included = [line.removeprefix("!") for line in lines if line.startswith("!")]
    copied = copied_paths(dockerfile)
    assert copied and all((ROOT / path).exists() for path in copied)
    assert all(any(fnmatch(path, pattern) for pattern in included) for path in copied)


@pytest.mark.slow
@pytest.mark.nightly
def test_the_files_of_the_server_image_are_enough_to_serve_the_champions(serving_project, tmp_path):
    for path in copied_paths(ROOT / "deploy/serve/Dockerfile"):
        copy = shutil.copytree if (ROOT / path).is_dir() else shutil.copy
        copy(ROOT / path, tmp_path / path)
    store = f"sqlite:///{serving_project / 'mlflow.db'}"
    with run_server(tmp_path, store, PYTHONPATH=str(tmp_path / "src")) as server:
        assert server.get("/readyz").status_code == 200
        names = {model["name"] for model in server.get("/v1/models").json()}
    assert names == {"sample_digits", "sample_code", "sample_numbers", "sample_road"}
