"""Commands, their shape and a site to the text of a Slurm job that saves when it is told to, and goes on later."""

import shlex
from dataclasses import dataclass
from pathlib import Path

from lectern.cluster.site import Site

# One owner of going on again: this script asks for it once the training has saved; Slurm does it by itself only where
# nobody is left to ask, that is when a node died, or when a preempted job did not end within its grace. The signal goes
# to this shell alone (B:), which hands the processes SIGTERM: they know no other, and a process that is still
# importing dies of it as it should.
TEXT = """\
#!/bin/bash
# Made by `lectern submit`. By hand, from the same folder: sbatch {path}
{options}

say() {{ echo "lectern: $*"; }}
me=$SLURM_JOB_ID  # the number of an array's first element is that of the whole array
[ -n "${{SLURM_ARRAY_JOB_ID:-}}" ] && me=${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID

again() {{  # ask to be started again, unless somebody cancelled the job
  if [ "${{SLURM_RESTART_COUNT:-0}}" -ge {restarts} ]; then
    say "job $me was started again {restarts} times already (restarts in the site file): it ends here"
    return
  fi
  case $(scontrol show job --oneliner "$me") in
    *JobState=RUNNING*) say "job $me waits to go on from its last checkpoint"
      scontrol requeue "$me" && sleep 300 ;;  # Slurm ends this script
  esac
}}

warned() {{
  heard=1 told=1
  say "job $me was told to end: it saves"
  scancel --signal=TERM "$me"  # to the processes, not to this shell
  (sleep {patience}; again) &  # where they do not end in time, the last periodic checkpoint has to do
}}
trap warned USR1

say "job $me starts on $SLURM_JOB_NODELIST${{SLURM_RESTART_COUNT:+, for the $((SLURM_RESTART_COUNT + 1)). time}}"
see={see}
srun --overlap --ntasks-per-node=1 --ntasks="$SLURM_JOB_NUM_NODES" bash -c "$see" || exit {unshared}
{setup}
case ${{SLURM_ARRAY_TASK_ID:-0}} in
{cases}
esac
srun {srun} "$@" &
step=$! heard=
while true; do
  wait "$step"
  code=$?
  [ -n "$heard" ] || break
  heard=
done

preempted=$(scontrol show job --oneliner "$me" | grep -c -v "PreemptTime=None")
if [ "$code" = 143 ] && {{ [ -n "${{told:-}}" ] || [ "$preempted" = 1 ]; }}; then again; fi
exit "$code"
"""
UNSHARED = 66  # the exit code of a job whose nodes do not see the folder that it was sent from


@dataclass(frozen=True)
class Shape:
    """What the trainer's config says of the machines: nodes, processes of each, and whether each has a GPU."""

    nodes: int
    processes: int
    gpu: bool


def write(path: Path, name: str, commands: list[list[str]], shape: Shape, site: Site, token: str) -> None:
    """The job at `path`, and beside it the probe that every node has to see."""
    path.parent.mkdir(parents=True, exist_ok=True)
    probe = path.with_suffix(".probe").absolute()
    probe.write_text(token)
    path.write_text(
        TEXT.format(
            path=path,
            options="\n".join(f"#SBATCH {word}" for word in options(path, name, len(commands), shape, site)),
            restarts=site.restarts,
            patience=max(site.warning - 20, site.warning // 2),
            see=shlex.quote(see(probe, token)),
            unshared=UNSHARED,
            setup="\n".join(site.setup),
            cases="\n".join(f"  {index}) set -- {shlex.join(words)} ;;" for index, words in enumerate(commands)),
            srun=shlex.join(["--kill-on-bad-exit=1", f"--cpus-per-task={site.cpus_per_process}", *site.srun]),
        )
    )


def options(path: Path, name: str, elements: int, shape: Shape, site: Site) -> list[str]:
    """What sbatch is asked for, a word each."""
    log = log_pattern(path, elements)
    asked = {
        "job-name": name,
        "nodes": shape.nodes,
        "ntasks-per-node": shape.processes,
        "cpus-per-task": site.cpus_per_process,
        "gpus-per-node": ":".join(filter(None, [site.gpu_type, str(shape.processes)])) if shape.gpu else None,
        "mem": site.memory,
        "time": site.time,
        "partition": site.partition,
        "account": site.account,
        "qos": site.qos,
        "constraint": site.constraint,
        "array": f"0-{elements - 1}" if elements > 1 else None,
        "signal": f"B:USR1@{site.warning}",
        "output": log.absolute(),
        "chdir": Path.cwd(),
    }
    given = [f"--{option}={value}" for option, value in asked.items() if value is not None]
    return [*given, "--requeue", "--open-mode=append", *site.sbatch]


def log_pattern(path: Path, elements: int) -> Path:
    """Where a job writes, in Slurm's letters: %j a job's number, %A and %a those of an array and its element."""
    return path.with_name(f"{path.stem}-{'%A_%a' if elements > 1 else '%j'}.log")


def see(probe: Path, token: str) -> str:
    """A shell line that ends well where the probe is seen."""
    complaint = (
        f"lectern: node $SLURMD_NODENAME does not see {probe.parent} as it is where the job was sent from: the "
        "checkout has to lie in a folder that all nodes share."
    )
    return f'[ "$(cat {shlex.quote(str(probe))} 2>/dev/null)" = {token} ] || {{ echo "{complaint}"; exit 1; }}'
