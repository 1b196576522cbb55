"""Call Slurm's commands: submit, query and cancel jobs."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from lectern.artifacts.paths import group_config
from lectern.artifacts.text_lines import split_lines
from lectern.errors import UserError

FIELD = re.compile(r"(\w+)=(\S*)")
# A user or an allocation can set environment variables with these prefixes, which set options of Slurm's commands.
OPTION_PREFIXES = ("SALLOC_", "SBATCH_", "SCANCEL_", "SINFO_", "SLURM_", "SQUEUE_", "SRUN_")
KEPT_VARIABLES = ("SLURM_CLUSTERS", "SLURM_CONF", "SLURM_CONF_SERVER", "SLURM_JWT")  # select the Slurm cluster


class SlurmUnavailable(Exception):
    """Raised if Slurm's controller does not respond. Running jobs continue while the controller does not respond."""


def check_installed() -> None:
    """Raise UserError if Slurm's commands are not on the PATH."""
    commands = ("sbatch", "srun", "scontrol", "squeue", "sinfo", "scancel")
    missing = [name for name in commands if not shutil.which(name)]
    if missing:
        raise UserError(
            f"{missing[0]} is not on the PATH: Slurm is not installed on this machine. Submit jobs from a login node, "
            "unset LAUNCH to run on this machine, or run `cluster/local-slurm up` to start a local Slurm cluster."
        )


def run_slurm(*command: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command of Slurm without the variables that would change the options of the command or of the job."""
    return subprocess.run(command, env=slurm_environment(), capture_output=True, text=True, errors="replace")


def slurm_environment() -> dict[str, str]:
    """Return the environment without the variables that set options of Slurm's commands.

    Without this filter, a variable such as SBATCH_PARTITION would replace an option of the job script. The variables of
    an allocation, such as SLURM_NTASKS, would replace options of `srun` in the job.
    """
    ignored = {name for name in os.environ if name.startswith(OPTION_PREFIXES) and name not in KEPT_VARIABLES}
    return {name: value for name, value in os.environ.items() if name not in ignored}


def list_ignored_variables() -> list[str]:
    """Return the names of the ignored variables with which the user has set options of sbatch and srun."""
    return sorted(name for name in os.environ.keys() - slurm_environment() if name.startswith(("SBATCH_", "SRUN_")))


def submit_script(script: Path, site: str) -> str:
    """Submit a batch script and return the job ID.

    Raises UserError with Slurm's message and the requested resources if Slurm rejects the job.
    """
    result = run_slurm("sbatch", "--parsable", script)
    if result.returncode == 0:
        return result.stdout.strip().split(";")[0]
    message = " ".join(line.removeprefix("sbatch: error: ") for line in split_lines(result.stderr))
    if "ontact slurm controller" in message or "onnection refused" in message:
        raise UserError(
            f"Slurm does not respond: {message} Slurm's controller may be down. Try again later, or contact the "
            "administrators of the cluster."
        )
    requested = ", ".join(option.removeprefix("#SBATCH --") for option in requested_options(script))
    raise UserError(
        f"Slurm rejected the job: {message} Requested: {requested}. "
        "The trainer config (conf/trainer) sets the number of nodes and processes, "
        f"and {group_config('cluster', site)} sets the other options. `sinfo` lists the available nodes."
    )


def count_partition_nodes(partition: str | None) -> int:
    """Return the number of nodes of a partition, including nodes that are down, or 0 if the number is unknown.

    If `partition` is None, count the nodes of the default partition.
    """
    result = run_slurm("sinfo", "-h", "-o", "%P %D")
    rows = [line.split() for line in split_lines(result.stdout)]
    default = next((name for name, _ in rows if name.endswith("*")), "")
    return sum(int(nodes) for name, nodes in rows if name.rstrip("*") == (partition or default.rstrip("*")))


def requested_options(script: Path) -> list[str]:
    """Return the lines of a batch script that contain options which Slurm may reject."""
    names = ("nodes", "ntasks", "cpus", "gpus", "mem", "time", "partition", "account", "qos", "constraint")
    lines = [line.replace('"', "") for line in split_lines(script.read_text(encoding="utf-8", errors="replace"))]
    return [line for line in lines if line.startswith(tuple(f"#SBATCH --{name}" for name in names))]


def read_job_records(job: str) -> list[dict[str, str]]:
    """Return the fields that Slurm shows for a job, as one dictionary per element of a job array.

    Pending elements of a job array may share one dictionary.

    Raises SlurmUnavailable if Slurm does not respond, and UserError if Slurm has no record of the job.
    """
    result = run_slurm("scontrol", "show", "job", "--oneliner", job)
    if "Invalid job id" in result.stderr:
        raise UserError(
            f"Slurm has no record of job {job} any more, so the result of the job is unknown. See the log of the job."
        )
    if result.returncode:
        raise SlurmUnavailable(result.stderr.strip())
    # the first field with a name counts, because a path in a later field can contain a text such as ` JobState=FAILED`
    return [dict(reversed(FIELD.findall(line))) for line in split_lines(result.stdout) if line]


def find_active_job(name: str) -> str | None:
    """Return the ID of the user's pending or running job with the name `name`.

    Jobs in the state COMPLETING are ignored.
    """
    states = "--states=PENDING,CONFIGURING,RUNNING,SUSPENDED"
    result = run_slurm("squeue", "--me", "-h", "-o", "%A", f"--name={name}", states)
    return next(iter(result.stdout.split()), None)


def cancel_job(job: str) -> None:
    run_slurm("scancel", job)
