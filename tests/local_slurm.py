"""Start a local Slurm cluster of three nodes, and a login node from which tests submit jobs."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "cluster" / "local-slurm"


class LocalSlurm:
    """A running Slurm cluster in a folder, started with `cluster/local-slurm`."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.control("up")
        exports = self.control("env").splitlines()
        self.environment = dict(line.removeprefix("export ").replace('"', "").split("=", 1) for line in exports)

    def control(self, *arguments: str) -> str:
        """Run the script `cluster/local-slurm` and return its output."""
        result = subprocess.run([SCRIPT, "--folder", self.folder, *arguments], capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
        return result.stdout

    def down(self) -> None:
        self.control("down")

    def query(self, *command: str) -> str:
        """Run a command of Slurm and return its output."""
        result = subprocess.run(command, env={**os.environ, **self.environment}, capture_output=True, text=True)
        return result.stdout.strip()

    def job_ids(self) -> list[str]:
        return self.query("squeue", "-h", "-o", "%i").split()

    def submit_urgent_job(self) -> None:
        """Submit a short job of higher priority that preempts the jobs on all nodes."""
        options = ("--partition=urgent", "--nodes=3", "--exclusive", "--output=/dev/null", "--wrap=sleep 1")
        self.query("sbatch", *options)


def start_local_slurm(folder: Path) -> LocalSlurm:
    """Start a Slurm cluster in a new folder.

    The path of the folder must be short, because the path of a socket has at most 108 characters. If no cluster can be
    started, skip the tests, unless LECTERN_NEEDS_SLURM is set.
    """
    folder.rmdir()
    try:
        return LocalSlurm(folder)
    except AssertionError as error:
        if os.environ.get("LECTERN_NEEDS_SLURM"):
            raise
        pytest.skip(f"Slurm cannot be started on this machine: {error}")


@pytest.fixture(scope="module")
def slurm() -> Iterator[LocalSlurm]:
    """Yield a Slurm cluster, and check afterwards that the cluster leaves no files."""
    folder = Path(tempfile.mkdtemp(prefix="ls-"))
    slurm = start_local_slurm(folder)
    yield slurm
    slurm.down()
    assert not folder.exists()


class LoginNode:
    """A user's folder on a login node.

    The folder contains the project's configs and a stand-in for the train script.
    """

    def __init__(self, folder: Path, cluster_environment: dict[str, str]):
        self.folder, self.cluster_environment = folder, cluster_environment
        shutil.copytree(ROOT / "conf", folder / "conf")
        (folder / "pipelines").mkdir()
        shutil.copy(ROOT / "tests" / "training_stand_in.py", folder / "pipelines" / "train.py")
        self.write_site()

    def write_site(self, **settings: object) -> None:
        """Write conf/cluster/test.yaml. The settings are YAML text."""
        defaults = {"time": '"00:05:00"', "memory": "500M", "poll": 0.2, "warning": 60}
        text = "".join(f"{key}: {value}\n" for key, value in {**defaults, **settings}.items())
        (self.folder / "conf" / "cluster" / "test.yaml").write_text(text)

    @property
    def environment(self) -> dict[str, str]:
        environment = {**os.environ, **self.cluster_environment}
        path = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
        own = {"PATH": path, "PYTHONPATH": str(ROOT / "src"), "TRAINER": "cluster_cpu", "CLUSTER": "test"}
        return {**environment, **own}

    def start(self, *command: str, **environment: str) -> subprocess.Popen:
        return subprocess.Popen(
            command, cwd=self.folder, env={**self.environment, **environment}, text=True, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def submit(self, *overrides: str, out: str = "models/x", **environment: str) -> subprocess.Popen:
        """Start `lectern submit` for a training of the sample dataset."""
        training = ("python", "pipelines/train.py", "dataset=sample_digits", "model=digits_cnn", f"out={out}")
        return self.start("lectern", "submit", *training, *overrides, **environment)

    def read_logs(self) -> str:
        """Return the output of all jobs."""
        return "".join(path.read_text() for path in sorted((self.folder / "runs/jobs").glob("x-*.log")))


def wait_until(condition: Callable[[], object], process: subprocess.Popen | None = None, seconds: float = 300) -> None:
    """Wait until the condition is true.

    Fail if the process ends first, or if the condition is false for too many seconds.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        assert process is None or process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, f"the condition was not true within {seconds} s"
        time.sleep(0.05)


def finish(process: subprocess.Popen, seconds: float = 300) -> tuple[int, str]:
    """Wait for a process and return its exit code and its output, which must not contain a traceback."""
    output, _ = process.communicate(timeout=seconds)
    assert "Traceback" not in output, output
    return process.returncode, output
