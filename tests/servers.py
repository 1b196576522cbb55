"""A PostgreSQL and an MLflow server of the tests' own, started from what the machine has, and gone at the end."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]


def find_postgres() -> Path | None:
    """The folder of `initdb`: Debian keeps it off the PATH."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    return max((path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")), default=None)


class Postgres:
    """A PostgreSQL that listens on a socket in its own folder and nowhere else."""

    def __init__(self, bin: Path, folder: Path):
        self.bin, self.folder = bin, folder
        self.owner = {"user": "postgres"} if os.geteuid() == 0 else {}  # it will not run as root

    def start(self) -> None:
        if self.owner:
            shutil.chown(self.folder, "postgres")
        self.run("initdb", "-D", "data", "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C")
        options = f"-c listen_addresses='' -c fsync=off -k {self.folder}"
        self.run("pg_ctl", "-D", "data", "-l", "log", "-w", "-t", "120", "-o", options, "start")

    def stop(self) -> None:
        self.run("pg_ctl", "-D", "data", "-m", "immediate", "stop")

    def create(self, name: str, template: str = "template1") -> str:
        """The address of a new database, a copy of another."""
        self.run("createdb", "-h", str(self.folder), "-U", "postgres", "-T", template, name)
        return self.address(name)

    def address(self, name: str) -> str:
        return f"postgresql://postgres@/{name}?host={self.folder}"

    def run(self, *command: str) -> None:
        with open(self.folder / "said", "a+") as said:
            done = subprocess.run(
                [self.bin / command[0], *command[1:]],
                cwd=self.folder, stdin=subprocess.DEVNULL, stdout=said, stderr=said, **self.owner,
            )  # fmt: skip
        assert done.returncode == 0, (command, (self.folder / "said").read_text())


@contextmanager
def running_postgres(bin: Path) -> Iterator[Postgres]:
    with tempfile.TemporaryDirectory(prefix="lectern-postgres-") as folder:  # short: a socket's path is limited
        postgres = Postgres(bin, Path(folder))
        postgres.start()
        try:
            yield postgres
        finally:
            postgres.stop()


@contextmanager
def running_server(store: str, folder: Path) -> Iterator[str]:
    """The address of the MLflow server that `make mlflow-server` starts, on that store."""
    address = f"http://127.0.0.1:{free_port()}"
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "STORE": store,
        "SECRETS": str(folder),
        "PORT": address.rpartition(":")[2],
        "WORKERS": "1",
    }
    environment.pop("MLFLOW_TRACKING_URI", None)
    log = folder / "log"
    with open(log, "w") as said:
        process = subprocess.Popen(
            [ROOT / "deploy/mlflow/start"], env=environment, stdout=said, stderr=said, start_new_session=True
        )
    try:
        wait_until(f"{address}/health", process, log)
        yield address
    finally:
        os.killpg(process.pid, 15)
        process.wait(60)


def wait_until(address: str, process: subprocess.Popen, log: Path) -> None:
    """Until the address answers. Raises AssertionError with the log where the process ends before, or never does."""
    until = time.monotonic() + 600
    while time.monotonic() < until and process.poll() is None:
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except OSError:
            time.sleep(0.5)
    raise AssertionError(f"no answer from {address}:\n{log.read_text()}")


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]
