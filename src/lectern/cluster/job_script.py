"""Write the batch script of a Slurm job.

When the time limit is near, the job saves a checkpoint and requeues itself.
"""

import os
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from lectern.atomic import atomic_file
from lectern.cluster.site import Site
from lectern.errors import UserError

# The batch script requeues the job after the training has saved its checkpoint.
# Slurm itself requeues a job only if a node fails, or if a preempted job does not end within its grace period.
# With `--signal=B:USR1`, Slurm sends SIGUSR1 only to the shell of the batch script.
# The shell then sends SIGTERM to the training processes.
# SIGTERM ends a process that is still importing modules at once.
TEMPLATE = """\
#!/bin/bash
# `lectern submit` wrote this script. To submit the script again, run `sbatch {path}` in the same folder.
{options}

log() {{ echo "lectern: $*"; }}
job=$SLURM_JOB_ID
# In a job array, Slurm uses the job ID of one element also for the complete array.
[ -n "${{SLURM_ARRAY_JOB_ID:-}}" ] && job=${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID

requeue() {{  # a cancelled job is not requeued
  if [ "${{SLURM_RESTART_COUNT:-0}}" -ge {restarts} ]; then
    log "job $job is not requeued: it was restarted {restarts} times, the limit set by restarts in the site file"
    return
  fi
  case $(scontrol show job --oneliner "$job") in
    *JobState=RUNNING*) log "job $job is requeued and resumes from its last checkpoint"
      scontrol requeue "$job" && sleep 300 ;;  # Slurm ends this script during the sleep
  esac
}}

on_signal() {{
  interrupted=1 stopping=1
  log "job $job received the stop signal and saves a checkpoint"
  scancel --signal=TERM "$job"  # sends SIGTERM to the training processes, not to this shell
  (sleep {timeout}; requeue) &  # if the training does not end in time, the job resumes from an earlier checkpoint
}}
trap on_signal USR1

log "job $job starts on $SLURM_JOB_NODELIST${{SLURM_RESTART_COUNT:+ (restart $SLURM_RESTART_COUNT)}}"
{setup}
export SLURM_EXPORT_ENV=ALL  # the processes of the training get the environment that `setup` has changed
command -v srun >/dev/null || {{ log "srun is not on the PATH of the first node"; exit 127; }}
probe={probe}
srun --overlap --ntasks-per-node=1 --ntasks="$SLURM_JOB_NUM_NODES" bash -c "$probe" || exit {not_shared}
case ${{SLURM_ARRAY_TASK_ID:-0}} in
{cases}
esac
srun {srun} "$@" &
step=$! interrupted=
while true; do  # a signal interrupts `wait`, so call `wait` again
  wait "$step"
  code=$?
  [ -n "$interrupted" ] || break
  interrupted=
done

# The training exits with code 143 after SIGTERM.
preempted=$(scontrol show job --oneliner "$job" | grep -c -v "PreemptTime=None")
if [ "$code" = 143 ] && {{ [ -n "${{stopping:-}}" ] || [ "$preempted" = 1 ]; }}; then requeue; fi
exit "$code"
"""
FOLDER_NOT_SHARED = 66  # exit code of a job if a node of the job cannot read the probe file


@dataclass(frozen=True)
class JobSize:
    """The number of nodes and processes that the trainer config requires."""

    nodes: int
    processes_per_node: int
    gpu: bool  # true if each process needs one GPU


def write_job_script(path: Path, name: str, commands: list[list[str]], size: JobSize, site: Site, token: str) -> None:
    """Write the batch script to `path`, and write `token` to a probe file that every node must be able to read.

    If there are several commands, the job is a job array with one element per command.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    probe = path.with_suffix(".probe").absolute()
    script = TEMPLATE.format(
        path=path,
        options="\n".join(f"#SBATCH {option}" for option in sbatch_options(path, name, len(commands), size, site)),
        restarts=site.restarts,
        timeout=max(site.warning - 20, site.warning // 2),
        probe=shlex.quote(probe_command(probe, token)),
        not_shared=FOLDER_NOT_SHARED,
        setup="\n".join(site.setup),
        cases="\n".join(f"  {index}) set -- {shlex.join(command)} ;;" for index, command in enumerate(commands)),
        srun=shlex.join(["--kill-on-bad-exit=1", f"--cpus-per-task={site.cpus_per_process}", *site.srun]),
    )
    with atomic_file(probe) as part:
        part.write_text(token)
    with atomic_file(path) as part:
        part.write_bytes(os.fsencode(script))  # a path or an override can contain bytes that are not UTF-8


def sbatch_options(path: Path, name: str, elements: int, size: JobSize, site: Site) -> list[str]:
    """Return the options after each `#SBATCH` of the batch script, such as `--nodes=2`."""
    log = log_pattern(path, elements)
    gpus = ":".join(filter(None, [site.gpu_type, str(size.processes_per_node)])) if size.gpu else None
    values = {
        "job-name": name,
        "nodes": size.nodes,
        "ntasks-per-node": size.processes_per_node,
        "cpus-per-task": site.cpus_per_process,
        "gpus-per-node": gpus,
        "mem": site.memory,
        "time": site.time,
        "partition": site.partition,
        "account": site.account,
        "qos": site.qos,
        "constraint": site.constraint,
        "array": f"0-{elements - 1}" if elements > 1 else None,
        "signal": f"B:USR1@{site.warning}",
        "output": f"{escape_log_path(log.parent.absolute())}/{log.name}",
    }
    options = [quote_option(f"--{option}={value}") for option, value in values.items() if value is not None]
    own = [" ".join(map(quote_option, site.sbatch))] if site.sbatch else []
    return [*options, "--requeue", "--open-mode=append", *own]


def quote_option(option: str) -> str:
    """Put quotation marks around an option with special characters, such as a blank, so that sbatch reads it literally.

    In a batch script, sbatch supports quotation marks and comments, but only within one line.
    """
    if not re.search(r"""[\s"'#\\]""", option):
        return option
    escaped = re.sub(r"""(["\\])""", r"\\\1", option)
    return f'"{escaped}"'


def escape_log_path(path: Path) -> str:
    """Escape a path, so that Slurm does not replace placeholders in the path.

    Raises UserError if the path contains a backslash or a line break, because Slurm cannot write a log to such a path.
    """
    if re.search(r"[\\\n\r]", str(path)):
        raise UserError(
            f"The path of the checkout, {str(path)!r}, contains a backslash or a line break, and Slurm cannot write a "
            "log to such a path. Rename the folder."
        )
    return str(path).replace("%", "%%")


def log_pattern(path: Path, elements: int) -> Path:
    """Return the name of the log file with Slurm's placeholders.

    Slurm replaces %j by the job ID, %A by the ID of the job array, and %a by the index of the element in the array.
    """
    return path.with_name(f"{path.stem}-{'%A_%a' if elements > 1 else '%j'}.log")


def probe_command(probe: Path, token: str) -> str:
    """Return a shell command that prints a message and fails if a node cannot read the token in the probe file."""
    message = (
        f'"lectern: node $SLURMD_NODENAME does not share" {shlex.quote(str(probe.parent))} '
        '"with the machine that submitted the job. Move the checkout to a folder that all nodes share."'
    )
    return f'[ "$(cat {shlex.quote(str(probe))} 2>/dev/null)" = {token} ] || {{ echo {message}; exit 1; }}'
