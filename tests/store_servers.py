"""Start a PostgreSQL and an MLflow server for the tests, from the programs that are installed on the machine."""

import os
import shutil
import signal
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
    """Return the folder of the program `initdb`. On Debian, this folder is not on the PATH."""
    initdb = shutil.which("initdb")
    if initdb:
        return Path(initdb).resolve().parent
    return max((path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")), default=None)


class Postgres:
    """A PostgreSQL server that accepts connections only through a socket in its own folder."""

    def __init__(self, programs: Path, folder: Path):
        self.programs, self.folder = programs, folder
        self.user = {"user": "postgres"} if os.geteuid() == 0 else {}  # PostgreSQL refuses to run as root

    def start(self) -> None:
        if self.user:
            shutil.chown(self.folder, "postgres")
        self.run("initdb", "-D", "data", "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C")
        self.restart()

    def restart(self) -> None:
        """Start the server again after `stop`."""
        options = f"-c listen_addresses='' -c fsync=off -k {self.folder}"
        self.run("pg_ctl", "-D", "data", "-l", "log", "-w", "-t", "120", "-o", options, "start")

    def stop(self) -> None:
        self.run("pg_ctl", "-D", "data", "-m", "immediate", "stop")

    def create(self, name: str, template: str = "template1") -> str:
        """Create a database as a copy of another database, and return the address of the copy."""
        self.run("createdb", "-h", str(self.folder), "-U", "postgres", "-T", template, name)
        return self.address(name)

    def address(self, name: str) -> str:
        return f"postgresql://postgres@/{name}?host={self.folder}"

    def run(self, program: str, *arguments: str) -> None:
        """Run a program of PostgreSQL. If the program fails, raise AssertionError with its output."""
        with open(self.folder / "output", "a+") as output:
            process = subprocess.run(
                [self.programs / program, *arguments],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                **self.user,
            )
        assert process.returncode == 0, (program, arguments, (self.folder / "output").read_text())


@contextmanager
def run_postgres(programs: Path) -> Iterator[Postgres]:
    # a temporary folder at the top level, because the path of a socket must be short
    with tempfile.TemporaryDirectory(prefix="lectern-postgres-") as folder:
        postgres = Postgres(programs, Path(folder))
        postgres.start()
        try:
            yield postgres
        finally:
            postgres.stop()


class MlflowServer:
    """An MLflow server without accounts, which a test can stop, freeze and start again."""

    def __init__(self, store: str, folder: Path):
        self.store, self.folder, self.port = store, folder, free_port()
        self.address = f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = ["-m", "mlflow", "server", "--backend-store-uri", self.store, "--port", str(self.port)]
        options = ["--workers", "1", "--artifacts-destination", str(self.folder / "served")]
        environment = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
        log = self.folder / "server.log"
        with open(log, "a") as output:
            self.process = subprocess.Popen(
                [sys.executable, *command, *options],
                stdout=output, stderr=output, start_new_session=True, env=environment, cwd=self.folder,
            )  # fmt: skip
        wait_until_up(f"{self.address}/health", self.process, log)

    def send(self, number: signal.Signals) -> None:
        os.killpg(self.process.pid, number)

    def stop(self) -> None:
        self.send(signal.SIGKILL)
        self.process.wait()


@contextmanager
def run_mlflow_server(store: str, folder: Path, workers: int = 1) -> Iterator[str]:
    """Run the MLflow server of `make mlflow-server` on a store, and yield its address."""
    address = f"http://127.0.0.1:{free_port()}"
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "STORE": store,
        "SECRETS": str(folder),
        "PORT": address.rpartition(":")[2],
        "WORKERS": str(workers),
    }
    environment.pop("MLFLOW_TRACKING_URI", None)
    log = folder / "log"
    with open(log, "w") as output:
        process = subprocess.Popen(
            [ROOT / "deploy/mlflow/start"], env=environment, stdout=output, stderr=output, start_new_session=True
        )
    try:
        wait_until_up(f"{address}/health", process, log)
        yield address
    finally:
        os.killpg(process.pid, 15)
        process.wait(60)


def wait_until_up(address: str, process: subprocess.Popen, log: Path) -> None:
    """Wait until a server responds.

    If the server ends or does not respond in time, raise AssertionError with its log.
    """
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except OSError:
            time.sleep(0.5)
    raise AssertionError(f"no response from {address}:\n{log.read_text()}")


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]
