"""Slurm's own commands: send a job, look at it, cancel it."""

import re
import shutil
import subprocess
from pathlib import Path

from lectern.errors import UserError

FIELD = re.compile(r"(\w+)=(\S*)")


class Silent(Exception):
    """Slurm did not answer: its controller is down or restarts. A job that runs goes on all the same."""


def require() -> None:
    """Raises UserError on a machine that lacks Slurm's commands."""
    missing = [name for name in ("sbatch", "srun", "scontrol", "squeue", "sinfo", "scancel") if not shutil.which(name)]
    if missing:
        raise UserError(
            f"{missing[0]} is not on the PATH: this machine knows no Slurm. Send trainings from a login node, unset "
            "LAUNCH to train here, or try it on a private one: cluster/local-slurm up"
        )


def send(script: Path, site: str) -> str:
    """The number of the job. Raises UserError with Slurm's words, and what the site file and the trainer asked for."""
    done = subprocess.run(["sbatch", "--parsable", script], capture_output=True, text=True)
    if done.returncode == 0:
        return done.stdout.strip().split(";")[0]
    said = " ".join(line.removeprefix("sbatch: error: ") for line in done.stderr.splitlines())
    if "ontact slurm controller" in said or "onnection refused" in said:
        raise UserError(f"Slurm does not answer: {said} Its controller is down: try again later, or ask the site.")
    asked = ", ".join(line.removeprefix("#SBATCH --") for line in asked_lines(script))
    raise UserError(
        f"Slurm refused the job: {said} It was asked for: {asked}. Nodes and processes are the trainer's "
        f"(conf/trainer), the rest is that of conf/cluster/{site}.yaml; `sinfo` lists what there is."
    )


def count_nodes(partition: str | None) -> int:
    """How many nodes a partition has, up or down; the default one without a name. 0 where Slurm does not say."""
    done = subprocess.run(["sinfo", "-h", "-o", "%P %D"], capture_output=True, text=True)
    rows = [line.split() for line in done.stdout.splitlines()]
    default = next((name for name, _ in rows if name.endswith("*")), "")
    return sum(int(nodes) for name, nodes in rows if name.rstrip("*") == (partition or default.rstrip("*")))


def asked_lines(script: Path) -> list[str]:
    """Those options of a job that a site may refuse."""
    refusable = ("nodes", "ntasks", "cpus", "gpus", "mem", "time", "partition", "account", "qos", "constraint")
    lines = script.read_text().splitlines()
    return [line for line in lines if line.startswith(tuple(f"#SBATCH --{option}" for option in refusable))]


def look(job: str) -> list[dict[str, str]]:
    """What Slurm knows of a job: a record for each element of an array, or one for several that still wait.

    Raises Silent where it does not answer, UserError where it has forgotten the job.
    """
    done = subprocess.run(["scontrol", "show", "job", "--oneliner", job], capture_output=True, text=True)
    if "Invalid job id" in done.stderr:
        raise UserError(f"Slurm no longer knows job {job}: how it ended is not known. Its log may tell.")
    if done.returncode:
        raise Silent(done.stderr.strip())
    return [dict(FIELD.findall(line)) for line in done.stdout.splitlines() if line]


def find(name: str) -> str | None:
    """The number of one's own job of this name that waits or runs, not of one that is just ending."""
    states = "--states=PENDING,CONFIGURING,RUNNING,SUSPENDED"
    done = subprocess.run(
        ["squeue", "--me", "-h", "-o", "%A", f"--name={name}", states], capture_output=True, text=True
    )
    return next(iter(done.stdout.split()), None)


def cancel(job: str) -> None:
    subprocess.run(["scancel", job], capture_output=True)
