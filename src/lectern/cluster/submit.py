"""Submit the command of a stage as a Slurm job, or as a job array for a grid of overrides."""

import hashlib
import itertools
import re
import secrets
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from lectern.artifacts.paths import CONF, JOBS, group_config
from lectern.cluster import slurm, watch
from lectern.cluster.job_script import JobSize, log_pattern, write_job_script
from lectern.cluster.log_tail import LogTail
from lectern.cluster.site import Site, read_site
from lectern.errors import UserError
from lectern.stages.config_files import check_config_files, quote_names
from lectern.training.world_size import check_batch_divides

STAGE_SCRIPT = re.compile(r"pipelines/(\w+)\.py")
MULTIRUN = ("-m", "--multirun")
UNSAFE = re.compile(r"[^A-Za-z0-9._-]")  # characters that a job name must not contain
MAX_NAME = 100  # maximum number of characters of a job name without its hash; the name is part of file names


def submit(command: list[str], cluster: str | None = None) -> None:
    """Submit the command of a stage as a Slurm job and wait until the job has ended.

    If the command contains `-m`, submit one job array that runs every combination of the override values. If a job of
    the same command is already pending or running, wait for this job instead. Raises UserError if the command does not
    run a stage, if the batch size is not divisible by the number of processes, if Slurm rejects the job, or if the job
    fails.
    """
    site_name, site = read_site(cluster)
    commands = expand_grid(command)
    check_separate_outputs(commands)
    sizes = {required_job_size(each) for each in commands}
    if len(sizes) > 1:
        raise UserError(
            "All commands of a grid must use the same number of nodes and devices, "
            "because one job array runs all commands."
        )
    submit_and_wait(commands, sizes.pop(), site, site_name)


def check_separate_outputs(commands: list[list[str]]) -> None:
    """Raise UserError if all commands of a grid would write the same model folder."""
    words = {word for command in commands for word in command if word.startswith("out=")}
    if len(commands) > 1 and len(words) == 1 and "${" not in min(words):
        raise UserError(
            f"All {len(commands)} commands of the grid would write {min(words)}. Give each command its own folder, "
            "such as 'out=runs/seed-${seed}', or leave out=... away."
        )


def submit_and_wait(commands: list[list[str]], size: JobSize, site: Site, site_name: str) -> None:
    """Submit the commands as a job, or find the active job of the same commands, and wait until the job has ended."""
    slurm.check_installed()
    site_file = str(group_config("cluster", site_name))
    if ignored := slurm.list_ignored_variables():
        watch.print_status(f"{', '.join(ignored)} ignored; {site_file} sets the options of sbatch and srun")
    name = job_name(commands)
    script = JOBS / f"{name}.sh"
    job = slurm.find_active_job(name) if script.exists() else None
    if job:
        watch.print_status(f"{name}: job {job} is already active; waiting until the job has ended")
    else:
        check_node_count(size.nodes, site, site_name)
        write_job_script(script, name, commands, size, site, secrets.token_hex(8))
        job = slurm.submit_script(script, site_name)
        processes = f"{size.nodes} x {size.processes_per_node} {'GPUs' if size.gpu else 'processes'}"
        watch.print_status(f"{name}: submitted job {job} ({processes}); log: {log_file(script, job, commands)}")
    logs = LogTail(script.parent, f"{script.stem}-{job}{'_*' if len(commands) > 1 else ''}.log")
    watch.wait_for_job(job, name, logs, site, site_file)


def check_node_count(nodes: int, site: Site, site_name: str) -> None:
    """Raise UserError if the partition has too few nodes, because Slurm may keep such a job pending forever."""
    available = slurm.count_partition_nodes(site.partition)
    if 0 < available < nodes:
        raise UserError(
            f"The trainer requests {nodes} nodes (trainer.num_nodes), but partition {site.partition or '(default)'} in "
            f"{group_config('cluster', site_name)} has {available}. Request fewer nodes, or choose a larger partition."
        )


def log_file(script: Path, job: str, commands: list[list[str]]) -> str:
    pattern = str(log_pattern(script, len(commands)))
    return pattern.replace("%j", job).replace("%A", job).replace("%a", "*")


def job_name(commands: list[list[str]]) -> str:
    """Return a job name that consists of the output folder and a hash of the commands and the current folder.

    The same commands give the same name, so `submit` can find the active job of a repeated command. The name contains
    only letters, digits, `.`, `_` and `-`, because Slurm replaces `%` in names of logs and splits names at commas.
    """
    stage = stage_name(split_command(commands[0])[0])
    outs = [word.removeprefix("out=") for word in commands[0] if word.startswith("out=")] or [""]
    readable = UNSAFE.sub("_", outs[-1].strip("'\"/").rpartition("/")[2])[:MAX_NAME].lstrip("-.") or stage
    digest = hashlib.sha256(ascii([str(Path.cwd()), commands]).encode()).hexdigest()[:8]
    return f"{readable}-{digest}"


def expand_grid(command: list[str]) -> list[list[str]]:
    """Return one command per combination of override values, or only `command` if it does not contain `-m`.

    >>> expand_grid(["python", "pipelines/train.py", "-m", "dataset=mnist", "seed=1,2"])
    [['python', 'pipelines/train.py', 'dataset=mnist', 'seed=1'], ['python', ..., 'seed=2']]
    """
    program, overrides = split_command(command)
    if not set(MULTIRUN) & set(overrides):
        return [command]
    texts = [override for override in overrides if override not in MULTIRUN]
    parsed = OverridesParser.create().parse_overrides(texts)
    choices = [sweep_values(override) or [text] for override, text in zip(parsed, texts, strict=True)]
    return [[*program, *combination] for combination in itertools.product(*choices)]


def sweep_values(override: Override) -> list[str]:
    """Return one override per value of an override such as `seed=1,2`, or an empty list for a single value."""
    if not override.is_sweep_override():
        return []
    return [f"{override.get_key_element()}={value}" for value in override.sweep_string_iterator()]


def split_command(command: list[str]) -> tuple[list[str], list[str]]:
    """Split a command into the words up to the script of the stage, and the overrides after the script."""
    for position, word in enumerate(command, start=1):
        if STAGE_SCRIPT.fullmatch(word):
            return command[:position], command[position:]
    raise UserError(
        "Expected the command of a stage, such as: lectern submit python pipelines/train.py dataset=... model=... "
        f"Found: {' '.join(command)!r}"
    )


def stage_name(program: list[str]) -> str:
    """Return the name of the stage whose script is the last word of `program`."""
    return Path(program[-1]).stem


def required_job_size(command: list[str]) -> JobSize:
    """Return the number of nodes and processes that the trainer config of a command requires.

    A stage without a trainer config uses one process.

    Raises UserError if the batch size is not divisible by the number of processes.
    """
    program, overrides = split_command(command)
    check_config_files(stage_name(program), overrides)
    try:
        with initialize_config_dir(str(CONF.absolute()), version_base="1.3"):
            config = compose(stage_name(program), quote_names(overrides))
    except HydraException as error:
        raise UserError(f"The config of the stage is invalid: {error}") from error
    trainer = config.get("trainer")
    if trainer is None:
        return JobSize(1, 1, gpu=False)
    if not isinstance(trainer.devices, int) or trainer.devices < 1:
        raise UserError(
            f"conf/trainer: devices is {trainer.devices!r}, but a Slurm job needs a number of devices. "
            "Set TRAINER=cluster, or set a number, such as trainer.devices=4."
        )
    check_batch_divides(config.model.batches, trainer, f"{group_config('model', config.model.name)}, batches")
    return JobSize(trainer.get("num_nodes", 1), trainer.devices, trainer.accelerator == "gpu")
