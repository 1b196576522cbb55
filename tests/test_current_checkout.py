"""Test that commands and stages run the source code of the checkout that contains the current folder.

The environment of the tests contains the path of one checkout. The tests run in other checkouts, as in a second clone
that uses the same environment. They must not set PYTHONPATH, because PYTHONPATH takes precedence over the environment.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from checkout import ROOT, Checkout

IMPORTS = """
import multiprocessing
import subprocess
import sys
import lectern.task_modules
if __name__ == "__main__":
    print(lectern.__file__, lectern.task_modules.__file__, sep="\\n", flush=True)
    code = "import lectern; print(lectern.__file__)"
    process = multiprocessing.get_context("spawn").Process(target=exec, args=(code,))
    process.start()
    process.join()
    subprocess.run([sys.executable, "-c", code], cwd="/", check=True)
"""
PREPROCESS = "src/lectern/tasks/digits/data/preprocess.py"
FACTS = "data/processed/sample_digits/facts.json"
STAGE = "preprocess@sample_digits"


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Checkout:
    """Return a second checkout. Its DVC cache can be used by its git worktrees."""
    folder = tmp_path_factory.mktemp("checkouts")
    clone = Checkout(folder / "clone")
    clone.do("dvc", "cache", "dir", str(folder / "cache"))
    clone.git("commit", "--quiet", "--all", "--message=Set the folder of the cache")
    return clone


@pytest.fixture(scope="module")
def worktree(clone) -> Checkout:
    """Return a git worktree of the second checkout."""
    worktree = Checkout.__new__(Checkout)
    worktree.folder = clone.folder.with_name("worktree")
    clone.git("worktree", "add", "--quiet", str(worktree.folder))
    return worktree


def set_mean(checkout: Checkout, mean: float) -> None:
    """Change the source code of the preprocess stage so that it writes a constant as the mean of the pixels."""
    lines = (checkout / PREPROCESS).read_text().splitlines()
    changed = [f'        "mean": {mean},' if '"mean":' in line else line for line in lines]
    (checkout / PREPROCESS).write_text("\n".join(changed) + "\n")


def read_mean(checkout: Checkout) -> float:
    return json.loads((checkout / FACTS).read_text())["mean"]


def read_mean_of_experiment(checkout: Checkout, experiment: str) -> float:
    checkout.do("dvc", "get", "--quiet", "--force", "--rev", experiment, ".", FACTS, "--out", "runs/facts.json")
    return json.loads((checkout / "runs/facts.json").read_text())["mean"]


@pytest.mark.parametrize("folder", ["", "tests", "demo"])
def test_python_and_its_child_processes_import_the_source_of_the_current_checkout(worktree, folder):
    (worktree / "tests").mkdir(exist_ok=True)
    (worktree / "demo").mkdir(exist_ok=True)
    if not (worktree / "demo/src").exists():
        (worktree / "demo/src").symlink_to("../src")
    script = worktree / "print_imports.py"
    script.write_text(IMPORTS)
    done = subprocess.run(
        [sys.executable, script], cwd=worktree / folder, env=worktree.environment, capture_output=True, text=True
    )
    package = worktree / "src/lectern"
    init = str(package / "__init__.py")
    assert done.stdout.splitlines() == [init, str(package / "task_modules.py"), init, init], done.stderr


def test_the_lectern_command_runs_the_source_of_the_current_checkout(clone, worktree):
    with worktree.changed("src/lectern/cli/__init__.py", lambda text: text.replace("Promote, inspect", "A worktree:")):
        assert "A worktree:" in worktree.do("lectern", "--help")
        assert "A worktree:" not in clone.do("lectern", "--help")
    launched = clone.do("lectern", "launch", "python", "-c", "import lectern; print(lectern.__file__)")
    assert launched.strip() == str(clone / "src/lectern/__init__.py")


@pytest.mark.slow
def test_a_script_of_another_checkout_is_refused(clone):
    code, output = clone.run("python", str(ROOT / "pipelines/preprocess.py"), "dataset=sample_digits")
    assert code == 1 and f"belongs to the checkout {ROOT}" in output and str(clone.folder) in output


@pytest.mark.slow
def test_temporary_and_queued_experiments_run_the_changed_source(clone):
    set_mean(clone, 0.125)
    clone.do("dvc", "repro", STAGE)
    assert read_mean(clone) == 0.125
    clone.git("add", ".")
    clone.git("commit", "--quiet", "--message=Add results")
    (clone / "runs").mkdir()

    set_mean(clone, 0.25)
    clone.do("dvc", "exp", "run", "--temp", "--name", "temporary", STAGE)
    assert read_mean_of_experiment(clone, "temporary") == 0.25

    set_mean(clone, 0.375)
    clone.do("dvc", "exp", "run", "--queue", "--name", "queued", STAGE)
    set_mean(clone, 0.5)
    clone.do("dvc", "exp", "run", "--run-all")
    assert read_mean_of_experiment(clone, "queued") == 0.375
    assert read_mean(clone) == 0.125  # the workspace keeps its result


@pytest.mark.slow
def test_a_stage_in_a_worktree_runs_the_source_of_the_worktree(worktree):
    set_mean(worktree, 0.75)
    worktree.do("dvc", "repro", STAGE)
    assert read_mean(worktree) == 0.75


def test_an_environment_that_ignores_the_checkout_stops_with_a_message(worktree, tmp_path):
    """An import hook in the environment takes precedence over `sys.path`."""
    shutil.copytree(ROOT / "src/lectern", tmp_path / "lectern", ignore=shutil.ignore_patterns("tasks", "serving"))
    hook = f"""
import sys
from importlib.machinery import PathFinder
class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        return PathFinder.find_spec(name, ["{tmp_path}"]) if name == "lectern" else None
sys.meta_path.insert(0, Finder)
import lectern
"""
    code, output = worktree.run("python", "-c", hook)
    assert code == 1 and f"Run `make setup` in {worktree.folder}" in output


def test_the_source_of_the_environment_is_used_outside_of_a_checkout(clone):
    command = [sys.executable, "-c", "import lectern; print(lectern.__file__)"]
    done = subprocess.run(command, cwd="/", env=clone.environment, capture_output=True, text=True, check=True)
    assert Path(done.stdout.strip()) == ROOT / "src/lectern/__init__.py"
