"""A Slurm of three nodes, started by the project's own script, and what a user types on it."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "cluster" / "local-slurm"


class LocalSlurm:
    """Up from here on; `down()` takes it down."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.do("up")
        exports = self.do("env").splitlines()
        self.environment = dict(line.removeprefix("export ").replace('"', "").split("=", 1) for line in exports)

    def do(self, *words: str) -> str:
        done = subprocess.run([SCRIPT, "--folder", self.folder, *words], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def down(self) -> None:
        self.do("down")

    def ask(self, *command: str) -> str:
        done = subprocess.run(command, env={**os.environ, **self.environment}, capture_output=True, text=True)
        return done.stdout.strip()

    def jobs(self) -> list[str]:
        return self.ask("squeue", "-h", "-o", "%i").split()


def begin(folder: Path) -> LocalSlurm:
    """A Slurm in a new folder of a short name, as a socket's path has at most 108 characters.

    Where it cannot be had the tests are skipped, unless LECTERN_NEEDS_SLURM says that this machine has to.
    """
    folder.rmdir()
    try:
        return LocalSlurm(folder)
    except AssertionError as error:
        if os.environ.get("LECTERN_NEEDS_SLURM"):
            raise
        pytest.skip(f"no Slurm can be started here: {error}")


class Login:
    """A folder on a login node, with the project's configs and a stand-in for training; its user's commands."""

    def __init__(self, folder: Path, slurm: LocalSlurm, **site: object):
        self.folder, self.slurm = folder, slurm
        shutil.copytree(ROOT / "conf", folder / "conf")
        (folder / "pipelines").mkdir()
        shutil.copy(ROOT / "tests" / "training_stand_in.py", folder / "pipelines" / "train.py")
        self.site("test", **site)

    def site(self, name: str, **keys: object) -> None:
        """A site file; a key's value as YAML would have it."""
        chosen = {"time": '"00:05:00"', "memory": "500M", "poll": 0.2, "warning": 60, **keys}
        text = "".join(f"{key}: {value}\n" for key, value in chosen.items())
        (self.folder / "conf" / "cluster" / f"{name}.yaml").write_text(text)

    @property
    def environment(self) -> dict[str, str]:
        environment = {**os.environ, **self.slurm.environment}
        path = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
        return {
            **environment, "PATH": path, "PYTHONPATH": str(ROOT / "src"), "TRAINER": "cluster_cpu", "CLUSTER": "test",
        }  # fmt: skip

    def start(self, *command: str, **environment: str) -> subprocess.Popen:
        return subprocess.Popen(
            command, cwd=self.folder, env={**self.environment, **environment}, text=True, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def submit(self, *words: str, out: str = "x", **environment: str) -> subprocess.Popen:
        """`lectern submit` of a training of the sample."""
        training = ("python", "pipelines/train.py", "dataset=sample_digits", "model=digits_cnn", f"out=models/{out}")
        return self.start("lectern", "submit", *training, *words, **environment)

    def log(self, out: str = "x") -> str:
        """All that the jobs of this out have written."""
        return "".join(path.read_text() for path in sorted((self.folder / "runs/jobs").glob(f"{out}-*.log")))


def await_that(found: Callable[[], object], process: subprocess.Popen, seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not found():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.05)


def ended(process: subprocess.Popen, seconds: float = 300) -> tuple[int, str]:
    said, _ = process.communicate(timeout=seconds)
    assert "Traceback" not in said, said
    return process.returncode, said
