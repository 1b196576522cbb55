"""Start and stop the daemons of a Slurm cluster on this machine, for `cluster/local-slurm`."""

import getpass
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

CONFIG_TEMPLATE = Path(__file__).resolve().with_name("local-slurm.conf")
PACKAGES = ["slurmctld", "slurmd", "slurm-client", "slurm-wlm-basic-plugins", "munge"]
LIBRARIES = ["libmunge2", "libhwloc15", "liblua5.1-0"]
SYSTEM_PATH = "/usr/local/sbin:/usr/sbin:/sbin"  # not on the PATH of every user
GRES_CONFIG = "Name=gpu File=/dev/null\nName=gpu File=/dev/zero\n"  # two GPUs per node that exist only for Slurm


class Cluster:
    """The daemons of a cluster: munged, slurmctld, and one slurmd per node. All files are in one folder."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.unpacked = folder / "packages"

    @property
    def environment(self) -> dict[str, str]:
        """The variables that Slurm's commands need to find the config, the programs and their libraries."""
        variables = {"SLURM_CONF": f"{self.folder}/slurm.conf", "PATH": f"{os.environ['PATH']}:{SYSTEM_PATH}"}
        if self.unpacked.exists():
            libraries = [f"{self.libraries}/slurm-wlm", str(self.libraries), os.environ.get("LD_LIBRARY_PATH", "")]
            variables["PATH"] = f"{self.unpacked}/usr/bin:{self.unpacked}/usr/sbin:{variables['PATH']}"
            variables["LD_LIBRARY_PATH"] = ":".join(filter(None, libraries))
        return variables

    @property
    def libraries(self) -> Path:
        return next((self.unpacked / "usr/lib").glob("*-linux-gnu"))

    @property
    def nodes(self) -> list[str]:
        return (self.folder / "nodes").read_text().split()

    def up(self, nodes: int, cpus: int) -> None:
        if self.folder.exists():
            sys.exit(f"{self.folder} exists: the cluster is running or was not stopped. Run: {sys.argv[0]} down")
        for name in ("state", "spool", "log", "pids", "munge"):
            (self.folder / name).mkdir(parents=True, mode=0o700)
        try:
            if not shutil.which("slurmctld", path=self.environment["PATH"]):
                self.unpack_packages()
            self.write_config(nodes, cpus)
            self.start_munge()
            self.start("slurmctld", "-D", "-c")
            for node in self.nodes:
                self.start_node(node)
            self.wait_until_idle()
        except BaseException:
            self.down()
            raise

    def unpack_packages(self) -> None:
        """Download Debian's packages and unpack them into the folder, with the program names of an installation."""
        archives = self.folder / "archives"
        archives.mkdir()
        try:
            run(["apt-get", "download", "-qq", *PACKAGES, *LIBRARIES], cwd=archives)
        except (OSError, subprocess.CalledProcessError) as error:
            message = getattr(error, "stderr", None) or str(error)
            sys.exit(
                "Slurm is not installed, and apt-get download failed for Debian's packages: "
                f"{message.strip()}. Install slurmctld, slurmd, slurm-client and munge, or run apt-get update first."
            )
        for archive in archives.glob("*.deb"):
            run(["dpkg", "-x", archive, self.unpacked])
        shutil.rmtree(archives)
        for name in ("slurmctld", "slurmd", "slurmstepd"):
            link = self.unpacked / "usr/sbin" / name
            if not link.exists():
                link.symlink_to(f"{name}-wlm")

    def write_config(self, nodes: int, cpus: int) -> None:
        port = find_free_ports(nodes + 1)
        (self.folder / "nodes").write_text("\n".join(f"127.0.0.{11 + node}" for node in range(nodes)))
        text = CONFIG_TEMPLATE.read_text().format(
            folder=self.folder, host=socket.gethostname(), user=getpass.getuser(), cpus=cpus, port=port,
            first_node_port=port + 1, last_node_port=port + nodes, names=f"127.0.0.[11-{10 + nodes}]",
            first_job=random.randrange(1000, 9000),  # Lightning derives the port of a training from the job ID
            plugins=f"PluginDir={self.libraries}/slurm-wlm" if self.unpacked.exists() else "",
        )  # fmt: skip
        (self.folder / "slurm.conf").write_text(text)
        # With this line, slurmd also starts on a machine without a cgroup file system.
        (self.folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")
        (self.folder / "gres.conf").write_text(GRES_CONFIG)

    def start_munge(self) -> None:
        """Start the authentication daemon with its own key. `--force` allows a folder that only the user can read."""
        munge = self.folder / "munge"
        (munge / "key").touch(mode=0o600)
        (munge / "key").write_bytes(os.urandom(128))
        files = [f"--{name}-file={munge}/{name}" for name in ("key", "pid", "log", "seed")]
        self.start("munged", "-F", "--force", f"--socket={munge}/socket", *files)
        while not (munge / "socket").exists():
            self.check_daemons()
            time.sleep(0.01)

    def start_node(self, node: str) -> None:
        step_daemon = ["-d", f"{self.unpacked}/usr/sbin/slurmstepd-wlm"] if self.unpacked.exists() else []
        self.start("slurmd", "-D", "-N", node, *step_daemon, name=node)

    def start(self, program: str, *arguments: str, name: str = "") -> None:
        """Start a daemon in the background. Write its output to log/<name>.out and its process ID to pids/<name>."""
        name = name or program
        environment = {**os.environ, **self.environment}
        path = shutil.which(program, path=environment["PATH"])
        if not path:
            sys.exit(f"{program} is not installed. Install slurmctld, slurmd, slurm-client and munge.")
        with open(self.folder / "log" / f"{name}.out", "ab") as log:
            process = subprocess.Popen(
                [path, *arguments], env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        (self.folder / "pids" / name).write_text(str(process.pid))

    def wait_until_idle(self, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while self.query("sinfo", "-h", "-N", "-p", "main", "-t", "idle", "-o", "%N").split() != self.nodes:
            self.check_daemons()
            if time.monotonic() > deadline:
                sys.exit(f"The nodes did not start within {seconds:.0f} s: {self.read_log_end('slurmctld')}")
            time.sleep(0.05)

    def check_daemons(self) -> None:
        """Exit with the end of the log of a daemon that has ended."""
        for path in (self.folder / "pids").iterdir():
            pid = int(path.read_text())
            if not wait_for(partial(self.owns, pid), 1):  # /proc shows the environment only after the start
                sys.exit(f"{path.name} ended: {self.read_log_end(path.name)}")

    def read_log_end(self, name: str) -> str:
        logs = [self.folder / "log" / f"{name}{suffix}" for suffix in (".out", ".log")]
        return "\n".join(log.read_text(errors="replace")[-1500:] for log in logs if log.exists())

    def query(self, *command: str) -> str:
        """Return the output of a Slurm command, or an empty string if it fails."""
        try:
            return run(command, env={**os.environ, **self.environment}, timeout=30).stdout
        except (OSError, subprocess.SubprocessError):
            return ""

    def owns(self, pid: int) -> bool:
        """Return whether the process is alive and belongs to this cluster. The system may have reused its ID."""
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
            environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        except OSError:
            return False
        return state != "Z" and f"SLURM_CONF={self.folder}/slurm.conf".encode() in environment

    def find_tasks(self, node: str = "") -> list[int]:
        """Return the process IDs of the tasks of all jobs and of their step daemons, on one node or on all nodes."""
        pids = []
        for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
            with suppress(OSError):
                on_node = f"SLURMD_NODENAME={node}".encode() in Path(f"/proc/{pid}/environ").read_bytes()
                if on_node and self.owns(pid):
                    parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
                    pids += [pid, *([parent] if is_step_daemon(parent) else [])]
        return pids

    def fail(self, node: str) -> None:
        """End all processes of a node as a power failure does: none of them reports the end of another."""
        pid_file = self.folder / "pids" / node
        pids = [int(pid_file.read_text()), *self.find_tasks(node)]
        kill(pids, signal.SIGSTOP)
        kill(pids, signal.SIGKILL)
        pid_file.unlink()

    def down(self) -> None:
        """Cancel the jobs and stop the daemons, with SIGKILL if necessary. Repeating it is safe."""
        if (self.folder / "pids" / "slurmctld").exists():
            for job in self.query("squeue", "-h", "-o", "%i").split():
                self.query("scancel", "--full", job)
            wait_for(lambda: not self.query("squeue", "-h", "-o", "%i").split(), 10)
        kill(self.find_tasks(), signal.SIGKILL)
        daemons = [int(path.read_text()) for path in (self.folder / "pids").glob("*")]
        kill(filter(self.owns, daemons), signal.SIGTERM)
        if not wait_for(lambda: not any(map(self.owns, daemons)), 10):
            kill(filter(self.owns, daemons), signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)


def is_step_daemon(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"slurmstepd")
    except OSError:
        return False


def kill(pids: Iterable[int], signal_number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal_number)


def wait_for(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait until the condition is true. Return False after some seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def run(command: Any, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, check=True, capture_output=True, text=True, **options)


def find_free_ports(count: int) -> int:
    """Return the first of `count` consecutive ports that no other program uses."""
    for _ in range(50):
        first = random.randrange(20000, 30000)
        with suppress(OSError):
            for port in range(first, first + count):
                with socket.socket() as probe:
                    probe.bind(("0.0.0.0", port))
            return first
    sys.exit("Found no block of free ports between 20000 and 30000.")
