"""Test a checkout that DVC filled with links into a shared cache, and that was then moved and copied."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from checkout import ROOT, Checkout
from test_moved_store import files, recorded_addresses

MODEL = "sample_digits"
DEFAULT_STORE = {"MLFLOW_TRACKING_URI": ""}  # With an empty value, Lectern uses the file `mlflow.db` of the checkout.
IN_THE_COPY = (
    "lectern reconcile",
    f"lectern lineage {MODEL}@1",
    "dvc repro --force --single-item evaluate@demo-digits",
)
AFTER_THE_MOVE = (
    f"lectern predict {MODEL} --input data/processed/{MODEL}/test_images.npy --output answers.csv",
    "dvc repro register@demo-digits",
)


def at(folder: Path) -> Checkout:
    """Return the checkout in a folder."""
    checkout = Checkout.__new__(Checkout)
    checkout.folder = folder
    return checkout


def use(checkout: Checkout, commands: tuple[str, ...]) -> None:
    """Run commands that must succeed, and check that all addresses in the store are in the checkout."""
    for command in commands:
        code, output = checkout.run(*command.split(), **DEFAULT_STORE)
        assert code == 0, f"{command}: {output}"
    addresses = recorded_addresses(checkout / "mlflow.db")
    assert addresses and all(address.startswith((checkout / "mlartifacts").as_uri()) for address in addresses)


@pytest.mark.nightly
def test_a_trained_checkout_with_linked_outputs_can_be_moved_and_copied(tmp_path):
    checkout = Checkout(tmp_path / "original")
    checkout.do("dvc", "config", "cache.type", "symlink")
    checkout.do("dvc", "cache", "dir", str(tmp_path / "shared cache"))
    checkout.git("commit", "--quiet", "--all", "--message=Use a shared cache")
    checkout.do("dvc", "repro", "register@demo-digits", **DEFAULT_STORE)
    assert (checkout / "models/demo-digits/weights.safetensors").is_symlink()
    checkout.do("lectern", "promote", MODEL, **DEFAULT_STORE)
    copy = at(shutil.copytree(checkout.folder, tmp_path / "copy", symlinks=True))
    before = files(checkout.folder)
    use(copy, IN_THE_COPY)
    assert files(checkout.folder) == before
    moved = at(checkout.folder.rename(tmp_path / "moved"))
    use(moved, AFTER_THE_MOVE)
    assert not checkout.folder.exists()


@pytest.mark.parametrize(("folder", "is_rebuilt"), [("", False), ("/another/folder", True)])
def test_make_creates_the_environment_of_a_moved_checkout_again(tmp_path, folder, is_rebuilt):
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy2(ROOT / name, tmp_path)
    (tmp_path / ".venv").mkdir()
    command = f"command = /usr/bin/python3 -m venv {folder or tmp_path}/.venv\n"
    (tmp_path / ".venv/pyvenv.cfg").write_text(command)
    (tmp_path / ".venv/.ready").touch()
    planned = subprocess.run(["make", "-n", "setup"], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert ("rm -rf .venv" in planned) == ("-m venv .venv" in planned) == is_rebuilt, planned


def test_make_sets_the_name_of_the_user_without_blanks_if_the_environment_lacks_it():
    rule = 'print-name: ; @echo "[$$LOGNAME]"'
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"]}
    command = ["make", "--no-print-directory", "--eval", rule, "print-name"]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, env=environment).stdout
    name = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
    assert printed == f"[{name}]\n"
